"""A synthetic head-and-neck cohort with a known risk of metastasis."""
