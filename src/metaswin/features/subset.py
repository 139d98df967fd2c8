"""Which patients' masks are perturbed."""

import hashlib
from collections.abc import Sequence


def subset(patients: Sequence[str], number: int, seed: int) -> list[str]:
    """A subset of the patients that the seed draws, sorted.

    Patients are ordered by a hash of seed and study id, whatever their outcome: a patient who joins or leaves the
    cohort changes one member at most.
    """
    drawn = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}/{patient}".encode()).digest())
    return sorted(drawn[:number])
