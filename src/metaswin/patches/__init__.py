"""Multi-channel patches around the tumour."""
