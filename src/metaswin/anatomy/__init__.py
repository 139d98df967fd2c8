"""Interpretable measures of organs and of how the tumour lies to them."""
