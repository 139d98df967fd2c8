"""Stratified cross-validation folds per endpoint."""
