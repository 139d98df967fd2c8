"""Settings of the report."""

from metaswin.settings import Settings


class ReportSettings(Settings):
    """Title and what is shown."""

    title: str = "Distant metastasis of head-and-neck cancer"
    selected_features: int = 20
