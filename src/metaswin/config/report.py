"""Settings of the report."""

from pydantic import Field

from metaswin.core.settings import Settings


class ReportSettings(Settings):
    """Title of the report and what it shows."""

    title: str = Field(default="Distant metastasis of head-and-neck cancer", description="Title of the page.")
    selected_features: int = Field(default=20, ge=1, description="Rows of each table of features.")
    paper: bool = Field(default=True, description="Show the published numbers beside this run's.")
    qc_images: int = Field(default=100, ge=0, description="Patients whose QC image is put into the page.")
