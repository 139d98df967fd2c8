"""Prepare the images of each patient: CT and masks as volumes, organs, regions, patches, QC images, DICOM export."""
