"""Freeze a finished run as a bundle, predict new patients with it, and validate the predictions."""
