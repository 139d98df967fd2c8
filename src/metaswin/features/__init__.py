"""Compute the features of each patient: radiomics, anatomy, stability, harmonisation, selection, fit tables."""
