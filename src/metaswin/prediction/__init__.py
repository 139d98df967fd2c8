"""New patients: a finished run frozen as a bundle, predicted with it, and validated."""
