"""The configuration: every stage's settings in one model, loaded and checked before anything runs."""
