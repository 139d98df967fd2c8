"""Build the report: one HTML file, figures and tables."""
