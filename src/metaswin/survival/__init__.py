"""Time to event: a hazard head with two causes, and its evaluation."""
