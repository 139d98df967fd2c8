"""Define the settings of the report."""

from pydantic import Field

from metaswin.core.settings import Settings


class ReportSettings(Settings):
    """Title and content of the report."""

    title: str = Field(default="Distant metastasis of head-and-neck cancer", description="Title of the page.")
    selected_features: int = Field(default=20, ge=1, description="Rows of each table of features.")
    paper: bool = Field(default=True, description="Show the published numbers next to those of this run.")
    qc_images: int = Field(default=100, ge=0, description="Largest number of patients with a QC image in the page.")
