"""metaswin: distant metastasis of head-and-neck cancer from pre-treatment CT, contours and a clinical table."""

__version__ = "0.1.0"
