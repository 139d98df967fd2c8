"""Performance of every arm from out-of-fold predictions."""
