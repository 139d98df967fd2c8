"""Define, load and check the configuration, which has the settings of every stage in one model."""
