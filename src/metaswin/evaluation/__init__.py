"""Evaluate the models: performance, comparison with baselines, controls and explanation."""
