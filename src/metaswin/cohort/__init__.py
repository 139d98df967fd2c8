"""Who is in the study, with which outcome and in which fold: images and clinical table found, checked and matched."""
