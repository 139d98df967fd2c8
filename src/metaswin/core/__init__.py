"""Errors, files, problems, statuses and pages: what every chapter uses."""
