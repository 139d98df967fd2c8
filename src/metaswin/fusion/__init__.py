"""Modalities, arms and the networks that join them."""
