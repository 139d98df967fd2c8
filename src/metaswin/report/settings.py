"""Settings of the report."""

from pydantic import Field

from metaswin.settings import Settings


class ReportSettings(Settings):
    """Title and what is shown.

    `selected_features` are the rows of each table of selected features; `paper` puts the published numbers
    beside this run's.
    """

    title: str = "Distant metastasis of head-and-neck cancer"
    selected_features: int = Field(default=20, ge=1)
    paper: bool = True
