"""One HTML file, figures and tables."""
