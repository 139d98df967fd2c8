"""What each patient looks like: CT and masks as volumes, organs, regions, patches, QC images, export."""
