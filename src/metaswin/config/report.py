"""Settings of the report."""

from pydantic import Field

from metaswin.core.settings import Settings


class ReportSettings(Settings):
    """Title and what is shown.

    `selected_features` are the rows of each table of features; `paper` puts the published numbers beside this
    run's; `pictures` is the number of patients whose picture is put into the page.
    """

    title: str = "Distant metastasis of head-and-neck cancer"
    selected_features: int = Field(default=20, ge=1)
    paper: bool = True
    pictures: int = Field(default=100, ge=0)
