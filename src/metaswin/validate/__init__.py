"""Predictions of new patients against their outcomes, beside the figures of the training run."""
