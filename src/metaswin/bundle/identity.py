"""Study ids as keyed hashes: who was in the training cohort can be asked, not listed."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

import pandas as pd


def id_hash(key: str, patient: str) -> str:
    """HMAC-SHA256 of a study id, trimmed and case-folded (64 hex digits).

    The key lies in the bundle: whoever has the bundle can ask for an id that they know or guess, and nobody else can.
    """
    return hmac.new(key.encode(), patient.strip().casefold().encode(), hashlib.sha256).hexdigest()


def make_key(hashes: Mapping[str, str]) -> str:
    """A key of the bundle's own, from the hashes of its other files: the same run gives the same bundle."""
    text = "".join(f"{path} {value}\n" for path, value in sorted(hashes.items()))
    return hashlib.sha256(f"metaswin training cohort\n{text}".encode()).hexdigest()


def training_folds(key: str, folds: pd.DataFrame) -> dict[str, list[int]]:
    """Hash of each patient of an endpoint → its test fold in each repeat.

    Parameters
    ----------
    key : str
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    """
    ordered = folds.sort_values(["patient", "repeat"])
    return {id_hash(key, patient): rows["fold"].astype(int).tolist() for patient, rows in ordered.groupby("patient")}


def held_out(folds: Iterable[int] | None, repeat: int, fold: int) -> bool:
    """Whether a patient with these test folds was held out of one member; who was never there was held out of all."""
    return folds is None or list(folds)[repeat] == fold
