"""One page that tells everything that is wrong with the data before any long computation."""
