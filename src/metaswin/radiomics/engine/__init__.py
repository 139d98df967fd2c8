"""Compute PyRadiomics' features in a fraction of its time: same definitions, names and values, compiled kernels."""
