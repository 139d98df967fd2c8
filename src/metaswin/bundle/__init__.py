"""A finished run frozen into one folder: models and what they need, nothing of the patients."""
