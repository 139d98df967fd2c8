"""Index DICOM folders, choose each patient's CT and contours, build the cohort."""
