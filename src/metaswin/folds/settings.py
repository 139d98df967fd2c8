"""Settings of the cross-validation."""

from pydantic import Field

from metaswin.settings import Settings

LEAST_FOLDS = 2


class FoldsSettings(Settings):
    """Outer folds (the paper: five, once) and the inner folds every training set is divided into.

    Inner folds serve the deep score, the threshold and early stopping; `stratify` names baseline columns of the
    clinical table (the tumour subtype) that folds are balanced by, besides the label.
    """

    k: int = Field(default=5, ge=LEAST_FOLDS)
    repeats: int = Field(default=1, ge=1)
    inner: int = Field(default=5, ge=LEAST_FOLDS)
    stratify: list[str] = []
