"""Controls: what a model must beat, and what it looks like when something is wrong on purpose."""
