"""Simulate a synthetic head-and-neck cohort with a known risk of metastasis.

The cohort is a phantom for testing pipelines. It is neither anatomy nor evidence: the performance of a model on it
shows whether the pipeline finds the simulated effects, and nothing about patients.
"""
