"""Extract the radiomics features of one patient, and collect those of all patients in one table."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_volume, write_table
from metaswin.core.problems import Problem, public_table
from metaswin.core.provenance import release
from metaswin.core.status import Status, read_status, write_status
from metaswin.core.used import of_used, patient_of, used_patients
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import expected_features
from metaswin.radiomics.regions import Region, cut_region
from metaswin.radiomics.settings import RadiomicsSettings

if TYPE_CHECKING:
    import pyarrow as pa


logger = logging.getLogger("metaswin.radiomics")

STAGE = "radiomics"
SHOWN = 3  # number of failures quoted in a problem; the others are counted

# Function that changes a patient's image before the filters: study id, image, label map (z, y, x) → image.
Prepare = Callable[[str, sitk.Image, np.ndarray], sitk.Image]


@dataclass(frozen=True)
class RadiomicsInputs:
    """Hold one patient's files of stage regions: crop of the CT, label map, ``regions.json`` and ``status.json``."""

    ct: str | Path
    regions: str | Path
    facts: str | Path
    status: str | Path


def extract_patient(
    inputs: RadiomicsInputs,
    table: str | Path,
    status: str | Path,
    settings: RadiomicsSettings,
    details: str | Path,
    threads: int = 1,
    prepare: Prepare | None = None,
) -> None:
    """Extract the features of every wanted region of a patient.

    The table is always readable. The table of a patient who has no region or was excluded earlier has no rows. A region
    that fails has no row and a problem that does not exclude the patient. Its features are imputed and flagged later.

    Parameters
    ----------
    inputs : RadiomicsInputs
    table, status : path
        Outputs: Parquet and JSON.
    settings, details, threads
        Settings of radiomics, folder of private details, threads of the filters.
    prepare : callable or None
        Function that changes the image first. The negative controls use it.

    Raises
    ------
    UserError
        If `settings.regions` names a ring that the stage regions does not create.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    earlier = read_status(inputs.status)
    if not earlier.ok:
        _write(table, [], settings)
        write_status(status, Status(earlier.patient, STAGE, earlier.problem), details)
        return
    facts = read_json(inputs.facts)
    image = read_volume(inputs.ct)
    labels = sitk.GetArrayFromImage(read_volume(inputs.regions))
    if prepare is not None:
        image = prepare(earlier.patient, image, labels)
    rows, warnings = compute(earlier.patient, image, labels, facts, settings)
    _write(table, rows, settings)
    write_status(status, Status(earlier.patient, STAGE, warnings=tuple(warnings)), details)


def compute(
    patient: str, image: sitk.Image, labels: np.ndarray, facts: Mapping, settings: RadiomicsSettings
) -> tuple[list[dict], list[Problem]]:
    """Return rows (patient, region, voxels, features) and problems of a patient; `facts` is ``regions.json``."""
    regions: dict[str, Region] = {}
    problems = []
    computed: dict[frozenset[int], Region] = {}
    present = set(np.unique(labels).tolist())
    for name in wanted_regions(settings.regions, facts):
        # If a patient has only a primary tumour, the whole tumour has the same voxels and is computed once.
        key = frozenset(facts["labels"][name]) & present
        try:
            if key not in computed:
                computed[key] = cut_region(image, labels, sorted(key), settings)
            regions[name] = computed[key]
        except ValueError as error:
            problems.append(_failed(patient, name, str(error)))
    unmade = extract(image, list(computed.values()), settings)
    expected = expected_features(settings)
    rows = []
    for name, region in regions.items():
        failures = [*region.failures, *(f"{filtered}: the crop is too small for this filter" for filtered in unmade)]
        for failure in failures:
            logger.warning("%s: %s", name, failure)
        if not region.values:
            problems.append(_failed(patient, name, _some(failures)))
            continue
        if failures:
            problems.append(_incomplete(patient, name, len(expected) - len(region.values), len(expected), failures))
        rows.append({"patient": patient, "region": name, "voxels": region.voxels, **region.values})
    return rows, problems


def wanted_regions(names: list[str], facts: Mapping) -> list[str]:
    """Return the patient's regions to compute; ``rings`` is replaced by every ring, in the order of the labels.

    Raises
    ------
    UserError
        If a ring is named that the stage regions neither created for this patient nor reported as missing.
    """
    there, missing = facts["labels"], facts["missing"]
    rings = [name for name in there if name.startswith("ring_")]
    unknown = [name for name in names if name.startswith("ring_") and name not in there and name not in missing]
    if unknown:
        made = sorted({*rings, *(name for name in missing if name.startswith("ring_"))})
        raise UserError(
            f"radiomics.regions names {', '.join(unknown)}, but regions.rings creates {', '.join(made) or 'none'}; "
            "name one of these, or 'rings' for all of them"
        )
    expanded = []
    for name in names:
        expanded += sorted(rings, key=lambda ring: there[ring]) if name == "rings" else [name]
    return [name for name in dict.fromkeys(expanded) if name in there]


def settings_hash(settings: RadiomicsSettings) -> str:
    """Return the hash (16 hex digits) of the settings of the features."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]


def engine_version(settings: RadiomicsSettings) -> str:
    """Return the version of the feature engine. For our engine, patch releases of a version are not distinguished."""
    if settings.engine == "metaswin":
        return release()
    return version("pyradiomics-bhklab")


def _write(path: str | Path, rows: list[dict], settings: RadiomicsSettings) -> None:
    features = expected_features(settings)
    # All numbers are converted at once. Converting a thousand columns singly takes longer than computing the features.
    values = np.array([[row.get(name, np.nan) for name in features] for row in rows], np.float64)
    table = pd.DataFrame(values.reshape(len(rows), len(features)), columns=features)
    heads = {"patient": "str", "region": "str", "voxels": "int64"}
    head = pd.DataFrame(rows, columns=list(heads)).astype(heads)
    table = pd.concat([head, table], axis=1)
    metadata = {
        "engine": settings.engine,
        "version": engine_version(settings),
        "settings_hash": settings_hash(settings),
    }
    write_table(path, table, metadata)


def _some(failures: list[str]) -> str:
    more = f" and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    return "; ".join(failures[:SHOWN]) + more


def _failed(patient: str, region: str, reason: str) -> Problem:
    return Problem(
        patient,
        STAGE,
        "radiomics-failed",
        found=f"region {region} without features: {reason}",
        expected="a region for which features can be computed",
        action="check the region's contour; its features are imputed by training medians and flagged",
        excludes=False,
    )


def _incomplete(patient: str, region: str, lacking: int, total: int, failures: list[str]) -> Problem:
    return Problem(
        patient,
        STAGE,
        "radiomics-incomplete",
        found=f"region {region} without {lacking} of {total} features: {_some(failures)}",
        expected="a value for every feature",
        action="check the region's size and grey values; missing features are imputed by training medians",
        excludes=False,
    )


def collect_features(tables: Sequence[str], used: str, path: str) -> None:
    """Join the tables of the used patients into one, sorted by patient and region. The schema metadata are kept.

    Raises
    ------
    UserError
        If the tables were computed with different settings or versions of the library.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [pq.read_table(table) for table in of_used(tables, used).values()]
    made = sorted({_made_with(part) for part in parts})
    if len(made) > 1:
        raise UserError(
            f"the patients' features were computed in {len(made)} different ways: {'; '.join(map(str, made))}; "
            "expected one; compute them all again (--forcerun extract_radiomics)"
        )
    joined = pa.concat_tables([part.replace_schema_metadata(None) for part in parts]).to_pandas()
    write_table(path, joined.sort_values(["patient", "region"], ignore_index=True), dict(made[0]))


def collect_problems(statuses: Sequence[str], used: str, path: str) -> None:
    """Write the problems of the used patients from the stages of `statuses`, sorted by patient, stage and code.

    Exclusions from an earlier stage are omitted, because they are already in the table of exclusions.
    """
    patients, problems = set(used_patients(used)), []
    for status in (read_status(path) for path in statuses if patient_of(path) in patients):
        found = [*([status.problem] if status.problem else []), *status.warnings]
        problems += [problem for problem in found if problem.stage == status.stage]
    write_table(path, public_table(sorted(problems, key=lambda p: (p.patient, p.stage, p.code, p.found))))


def _made_with(table: "pa.Table") -> tuple[tuple[str, str], ...]:
    metadata = table.schema.metadata
    return tuple((key, metadata[key.encode()].decode()) for key in ("engine", "settings_hash", "version"))
