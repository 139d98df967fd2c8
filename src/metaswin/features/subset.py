"""Draw the patients whose masks are perturbed."""

import hashlib
from collections.abc import Sequence


def subset(patients: Sequence[str], number: int, seed: int) -> list[str]:
    """Return a sorted random subset of the patients, drawn with the seed.

    Patients are ordered by a hash of seed and study id, independently of the outcome. A patient who is added to the
    cohort or removed from it changes at most one member of the subset.
    """
    drawn = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}/{patient}".encode()).digest())
    return sorted(drawn[:number])
