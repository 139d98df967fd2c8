"""Which rows a network learns from, and which it scores."""

import hashlib

import pandas as pd

from metaswin.errors import UserError


def rows_of(folds: pd.DataFrame, repeat: int, fold: int) -> pd.DataFrame:
    """Rows of one fold, sorted by patient: index ``patient``, columns ``label, role, inner``.

    `label` is 0, 1 or missing (unknown), `role` is ``train`` or ``test``, `inner` the inner fold of a training
    row. Rows with an unknown label have a role and an inner fold too: they are scored, never trained on.
    """
    rows = folds[folds["repeat"] == repeat].set_index("patient").sort_index()
    role = (rows["fold"] == fold).map({True: "test", False: "train"})
    return pd.DataFrame({"label": rows["label"], "role": role, "inner": rows[f"inner_{fold}"].astype("Int64")})


def training_labels(rows: pd.DataFrame, part: str) -> pd.Series:
    """Labels (0 or 1) of the rows that `part` is fitted on: ``outer`` all training rows, ``inner-j`` without fold j."""
    train = (rows["role"] == "train") & rows["label"].notna()
    if part != "outer":
        train &= rows["inner"] != inner_fold(part)
    return rows.loc[train.to_numpy(dtype=bool), "label"].astype(int)


def scored_patients(rows: pd.DataFrame, part: str) -> list[str]:
    """Patients whose score comes from the network of `part`: those it has not seen, each in one part."""
    if part == "outer":
        return rows.index[rows["role"] == "test"].tolist()
    return rows.index[((rows["role"] == "train") & (rows["inner"] == inner_fold(part))).to_numpy(dtype=bool)].tolist()


def inner_fold(part: str) -> int:
    """The j of ``inner-j``."""
    return int(part.removeprefix("inner-"))


def check_two_classes(labels: pd.Series, where: str) -> None:
    """Raise a `UserError` unless both classes are among the training `labels` of `where`."""
    events = int(labels.sum())
    if events == 0 or events == len(labels):
        raise UserError(
            f"{where}: found {events} events and {len(labels) - events} non-events among the training rows that "
            "have a patch, but a network needs both; set folds.k or folds.inner lower, or look at "
            "features/problems for patients without a patch"
        )


def seed_of(seed: int, *names: object) -> int:
    """A seed of its own for each combination of names, from the seed of the configuration."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
