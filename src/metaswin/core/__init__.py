"""Errors, files, problems, statuses and page templates that every chapter uses."""
