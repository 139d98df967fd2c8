"""Divide patients into batches so that a new patient changes as few batches as possible."""

import hashlib
from collections.abc import Iterable


def batches(patients: Iterable[str], size: int) -> dict[str, list[str]]:
    """Return batches of at most `size` patients.

    Patients are sorted into a binary tree by the bits of the SHA-256 of their study id. A leaf that grows beyond
    `size` is split (extendible hashing, Fagin et al. 1979, ACM TODS 4:315-344). Adding or removing a patient changes
    one batch, or splits one batch into two. All other batches keep their members.

    Returns
    -------
    dict
        Name of the batch (``b`` and the bits of its leaf) → patients, sorted. A batch is about 70 % full on average.
    """
    bits = {patient: _bits(patient) for patient in patients}
    found: dict[str, list[str]] = {}

    def place(members: list[str], prefix: str) -> None:
        if len(members) <= size:
            if members:
                found[f"b{prefix}"] = sorted(members)
            return
        for bit in "01":
            place([patient for patient in members if bits[patient][len(prefix)] == bit], prefix + bit)

    place(list(bits), "")
    return found


def _bits(patient: str) -> str:
    return f"{int(hashlib.sha256(patient.encode()).hexdigest(), 16):0256b}"
