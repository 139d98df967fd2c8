"""Simulate small patients with one data fault each, as in hospital data, and the workflow's expected response."""
