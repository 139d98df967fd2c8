"""Compute the scores of published signatures of one patient, with each signature's own settings and fixed formula."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.config.signatures import Signature
from metaswin.core.errors import UserError
from metaswin.core.files import read_volume, write_table
from metaswin.core.problems import Problem
from metaswin.core.status import Status, read_status, write_status
from metaswin.radiomics.features import extract_features

logger = logging.getLogger("metaswin.radiomics")

STAGE = "signatures"
SCORE = "score"
COLUMNS = {"patient": "str", "signature": "str", "feature": "str", "value": "float64"}
# Labels of ``images/<patient>/tumor.nii.gz``: 1 primary tumour, 2 nodes.
REGIONS = {"tumor": (1, 2), "primary": (1,), "nodes": (2,)}
NAMES = {"tumor": "tumour", "primary": "primary tumour", "nodes": "nodes"}


@dataclass(frozen=True)
class SignatureInputs:
    """Hold one patient's files of the stage images: CT (HU) and label map on the CT's grid, and ``status.json``."""

    ct: str | Path
    tumor: str | Path
    status: str | Path


def extract_signatures(
    inputs: SignatureInputs,
    table: str | Path,
    status: str | Path,
    signatures: Mapping[str, Signature],
    details: str | Path,
    threads: int = 1,
) -> None:
    """Compute the score of every signature for one patient.

    A signature that cannot be computed has a missing score and a problem that does not exclude the patient.

    Parameters
    ----------
    inputs : SignatureInputs
    table, status : path
        Outputs: Parquet with `COLUMNS`, one row for each feature and one for the ``score``, and JSON. A patient who was
        excluded earlier has no rows.
    signatures : mapping
        Name → signature.
    details, threads
        Folder of private details, threads of the resampling.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    earlier = read_status(inputs.status)
    if not earlier.ok:
        write_table(table, pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS))
        write_status(status, Status(earlier.patient, STAGE, earlier.problem), details)
        return
    image, labels = read_volume(inputs.ct), read_volume(inputs.tumor)
    rows, warnings = [], []
    for name, signature in signatures.items():
        values, why = compute(image, labels, signature)
        if why:
            warnings.append(_missing(earlier.patient, name, why))
            logger.warning("%s: %s", name, why)
        rows += [(earlier.patient, name, feature, value) for feature, value in values.items()]
    write_table(table, pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))
    write_status(status, Status(earlier.patient, STAGE, warnings=tuple(warnings)), details)


def compute(image: sitk.Image, labels: sitk.Image, signature: Signature) -> tuple[dict[str, float], str]:
    """Return features and score of one signature.

    Parameters
    ----------
    image : Image
        CT (HU).
    labels : Image
        Label map on the same grid: 1 primary tumour, 2 nodes.
    signature : Signature

    Returns
    -------
    values : dict
        Feature → value, and ``score``; NaN if it cannot be computed.
    why : str
        Reason why the score is missing; empty if the score exists.
    """
    inside = np.isin(sitk.GetArrayViewFromImage(labels), REGIONS[signature.region])
    found: dict[str, float] = {}
    why = "" if inside.any() else f"no {NAMES[signature.region]} is drawn"
    if not why:
        mask = sitk.GetImageFromArray(inside.astype(np.uint8))
        mask.CopyInformation(labels)
        try:
            found = extract_features(image, mask, signature.parameters, label=1)
        except UserError as error:
            why = str(error).replace("\n", " ")
    values = {name: float(found.get(name, math.nan)) for name in signature.feature_names}
    score = signature.score(values)
    if not why and not math.isfinite(score):
        missing = [name for name, value in values.items() if not math.isfinite(value)]
        why = f"no finite value of {', '.join(missing)}" if missing else "the formula has no finite value"
    return {**values, SCORE: math.nan if why else score}, why


def _missing(patient: str, name: str, why: str) -> Problem:
    return Problem(
        patient,
        STAGE,
        "signature-missing",
        found=f"no score of the signature {name}: {why}",
        expected="a region for which the signature can be computed",
        action="check the contour; the comparison of the signature excludes this patient",
        excludes=False,
    )
