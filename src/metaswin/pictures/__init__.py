"""One picture a patient: CT with contours in three planes, and what looks odd about the masks."""
