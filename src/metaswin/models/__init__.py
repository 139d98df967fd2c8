"""Fit the models: deep networks, fusion of modalities and hazard models."""
