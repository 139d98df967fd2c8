"""Masks out again as DICOM, over the original CT, for a viewer; it identifies people and stays in ``private/``."""
