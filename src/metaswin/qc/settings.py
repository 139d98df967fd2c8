"""Settings of the quality control."""

from typing import Literal

from metaswin.settings import Settings


class QcSettings(Settings):
    """What a problem of the data does.

    With ``exclude`` a patient with a problem is left out with a code, and the others go on. With ``stop`` the run ends
    after the quality control, all problems told at once, if an endpoint has too few events for its folds or anyone
    would be left out whom the configuration does not leave out itself; the latter again after the images are converted.
    With ``exclude`` the page tells of too few events where there are fewer than the least number of folds, two.
    """

    on_problem: Literal["exclude", "stop"] = "exclude"
