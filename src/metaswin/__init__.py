"""metaswin: distant metastasis of head-and-neck cancer from pre-treatment CT, contours and a clinical table."""

__version__ = "0.2.0.dev0"
