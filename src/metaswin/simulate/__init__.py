"""A synthetic head-and-neck cohort with a known risk of metastasis.

A phantom to test pipelines on. It is neither anatomy nor evidence: what a model reaches on it says whether the pipeline
finds what was put in, nothing about patients.
"""
