"""Find, check and match images and clinical table: patients of the study, their outcomes and folds."""
