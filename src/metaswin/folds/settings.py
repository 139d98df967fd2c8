"""Settings of the cross-validation."""

from pydantic import Field

from metaswin.settings import Settings

LEAST_FOLDS = 3


class FoldsSettings(Settings):
    """Folds of the cross-validation (the paper: five, once).

    The other folds of an outer fold are its inner folds: a fit that leaves out one of them too scores its rows. These
    scores serve the deep score, the penalty, the recalibration and the threshold. `stratify` names baseline columns of
    the clinical table (the tumour subtype) that folds are balanced by, besides the label. With three folds an inner fit
    learns from a single fold, and the run warns.
    """

    k: int = Field(default=5, ge=LEAST_FOLDS)
    repeats: int = Field(default=1, ge=1)
    stratify: list[str] = []
