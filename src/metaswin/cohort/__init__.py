"""Who goes on: exclusions, outcomes and the clinical table of the used patients."""
