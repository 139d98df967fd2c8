"""Feature selection on training rows."""
