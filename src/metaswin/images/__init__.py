"""CT in HU and tumour masks as NIfTI on the CT's own grid."""
