"""Settings of the cross-validation."""

from pydantic import Field

from metaswin.settings import Settings


class FoldsSettings(Settings):
    """Outer folds (the paper: five, once) and the inner folds every training set is divided into.

    Inner folds serve the deep score, the threshold and early stopping; `stratify` names baseline columns of the
    clinical table (the tumour subtype) that folds are balanced by, besides the label.
    """

    k: int = Field(default=5, ge=2)
    repeats: int = Field(default=1, ge=1)
    inner: int = Field(default=5, ge=2)
    stratify: list[str] = []
