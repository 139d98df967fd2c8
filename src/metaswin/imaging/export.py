"""Export one patient as DICOM: tumour, rings and organs as SEG and RTSTRUCT, what was measured as a report (SR)."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes as pydicom_codes
from pydicom.sr.coding import Code

from metaswin import __version__
from metaswin.config.imaging import ExportSettings
from metaswin.core.errors import UserError
from metaswin.core.files import atomic, metadata_of, read_json, read_table, read_volume
from metaswin.core.grid import Grid
from metaswin.core.status import read_status
from metaswin.imaging.export_rtstruct import Structure, structure_set
from metaswin.imaging.export_sr import Features, Risk, measurement_report
from metaswin.imaging.patches import PatientFiles
from metaswin.radiomics.ibsi import ibsi_code

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
PREFIX, CODE = "SegmentedProperty", ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")


@cache
def _known() -> dict[str, tuple[Code, Code]]:
    """Return TotalSegmentator's SNOMED table: structure → category and type."""
    text = (resources.files("totalsegmentator") / "resources/totalsegmentator_snomed_mapping.csv").read_text("utf-8")
    return {row["Structure"]: (_code(row, "Category"), _code(row, "Type")) for row in csv.DictReader(text.splitlines())}


def _code(row: dict[str, str], part: str) -> Code:
    return Code(*(row[f"{PREFIX}{part}CodeSequence.{key}"] for key in CODE))


def codes(name: str, kind: str) -> tuple[Code, Code]:
    """Return category and type of a structure.

    Tumours are neoplasms. Other structures have the codes of TotalSegmentator's table; a structure that is not in the
    table is coded as tissue.
    """
    if kind == "tumor":
        return ABNORMAL, NEOPLASM
    return _known().get(name, (ANATOMY, TISSUE))


def segmentation(slices: list[pydicom.Dataset], structures: list[Structure]) -> pydicom.Dataset:
    """Return a binary SEG that references the CT's slices and has the same patient and study.

    Structures may overlap. Slices without a segment are not written.

    Parameters
    ----------
    slices : list of Dataset
        The slices of the CT, in the order of the first axis of the masks.
    structures : list of Structure
        At least one structure.
    """
    import highdicom

    algorithms: dict[str, tuple[str, highdicom.AlgorithmIdentificationSequence | None]] = {"tumor": ("MANUAL", None)}
    for kind, family in [
        ("organ", pydicom_codes.DCM.ArtificialIntelligence),
        ("ring", pydicom_codes.DCM.ImageProcessing),
    ]:
        identification = highdicom.AlgorithmIdentificationSequence(f"metaswin {kind}", family, __version__)
        algorithms[kind] = ("AUTOMATIC", identification)
    descriptions = []
    for number, structure in enumerate(structures, start=1):
        category, what = codes(structure.name, structure.kind)
        algorithm, identified = algorithms[structure.kind]
        descriptions.append(
            highdicom.seg.SegmentDescription(number, structure.name, category, what, algorithm, identified)
        )
    return highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=np.stack([structure.mask for structure in structures], axis=-1).astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=highdicom.UID(),
        series_number=9001,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="metaswin",
        manufacturer_model_name="metaswin",
        software_versions=__version__,
        device_serial_number="0",
        series_description="metaswin: tumour, rings and organs",
        omit_empty_frames=True,
    )


LESIONS = {"primary": 1, "nodes": 2}


TOGETHER = "tumor"  # the region of both lesions


@dataclass(frozen=True)
class ExportInputs:
    """What is exported of one patient.

    Attributes
    ----------
    source : str
        The private record that lists the CT's files.
    files : PatientFiles
    radiomics : str
        Table of the patient's features.
    predictions, prediction_facts : str or None
        Risks of all patients and the facts of the prediction; None in a run that predicts no new patients.
    """

    source: str
    files: PatientFiles
    radiomics: str
    predictions: str | None = None
    prediction_facts: str | None = None


@dataclass(frozen=True)
class ExportOutputs:
    """The SEG, the RTSTRUCT and the structured report of one patient, below ``private/``."""

    seg: str
    rtstruct: str
    report: str


def export_patient(inputs: ExportInputs, outputs: ExportOutputs, patient: str, settings: ExportSettings) -> None:
    """Write the SEG, the RTSTRUCT and the structured report of one patient.

    All are empty if an earlier stage has excluded the patient.

    Parameters
    ----------
    inputs : ExportInputs
    outputs : ExportOutputs
    patient : str
        The study id.
    settings : ExportSettings

    Raises
    ------
    UserError
        If the CT's files are no longer those that were converted.
    """
    files = inputs.files
    if not read_status(files.status).ok:
        for path in (outputs.seg, outputs.rtstruct, outputs.report):
            with atomic(path) as temporary:
                temporary.touch()
        return
    grid = Grid.of(read_volume(files.ct))
    slices = ordered_slices(read_json(inputs.source)["ct"], grid)
    structures = read_structures(files, grid)
    segments = structures + together(structures)
    seg = segmentation(slices, segments)
    features = read_features(inputs.radiomics, settings.features)
    if len(segments) == len(structures) and TOGETHER in features:  # one lesion: it is the region of both
        lesion = next(structure.name for structure in structures if structure.kind == "tumor")
        features[lesion] = features.get(lesion, features[TOGETHER])
    measured = [segment for segment in segments if segment.kind == "tumor" or segment.name in features]
    risks = read_risks(inputs.predictions, inputs.prediction_facts, patient)
    report = measurement_report(slices, seg, measured, float(np.prod(grid.spacing)), features, risks)
    for path, dataset in [
        (outputs.seg, seg),
        (outputs.rtstruct, structure_set(slices, structures, grid)),
        (outputs.report, report),
    ]:
        with atomic(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)


def together(structures: Sequence[Structure]) -> list[Structure]:
    """Return both lesions as one structure, in a list; an empty list if there is one lesion only."""
    masks = [structure.mask for structure in structures if structure.kind == "tumor"]
    return [Structure(TOGETHER, "tumor", np.any(masks, axis=0))] if len(masks) > 1 else []


def read_features(path: str, names: Sequence[str] | None) -> dict[str, Features]:
    """Return region → the named features; None names those of the original image that have an IBSI code."""
    table, made = read_table(path), metadata_of(path)
    chosen = [name for name in table.columns if (ibsi_code(name) if names is None else name in names)]
    return {
        str(row["region"]): Features(
            {name: float(row[name]) for name in chosen}, made["engine"], made["version"], made["settings_hash"]
        )
        for row in table.to_dict("records")
    }


def read_risks(predictions: str | None, facts: str | None, patient: str) -> list[Risk]:
    """Return the risks of a patient, one for each endpoint for which it was predicted."""
    if predictions is None or facts is None:
        return []
    table, made = read_table(predictions), read_json(facts)
    own = table[(table["patient"] == patient) & (table["why"] == "")]
    return [_risk(row, made) for row in own.to_dict("records")]


def _risk(row: Mapping[str, Any], made: Mapping[str, Any]) -> Risk:
    def known(name: str) -> float | None:
        return None if pd.isna(row[name]) else float(row[name])

    member = "" if made["member"] is None else f", fold model {made['member']} alone"
    return Risk(
        endpoint=row["endpoint"],
        risk=float(row["risk"]),
        low=known("range_low"),
        high=known("range_high"),
        percentile=known("percentile"),
        group=None if pd.isna(row["group"]) else str(row["group"]),
        model=f"metaswin bundle: {row['endpoint']}, {row['feature_set']}{member}",
        version=made["made_by"],
        fingerprint=made["bundle"],
        notes=tuple(note for note in str(row["warnings"]).split("; ") if note),
    )


def ordered_slices(paths: list[str], grid: Grid) -> list[pydicom.Dataset]:
    """Return the headers of the CT's slices (without pixels) in the order of the converted volume's slices.

    Raises
    ------
    UserError
        If a file cannot be read, or if the files do not cover all slices of the grid.
    """
    found: dict[int, pydicom.Dataset] = {}
    for number, path in enumerate(paths, start=1):
        try:
            data = pydicom.dcmread(path, stop_before_pixels=True)
            position = np.array([data.ImagePositionPatient], dtype=float)
        except (OSError, AttributeError, pydicom.errors.InvalidDicomError) as error:
            raise UserError(
                f"export: file {number} of the CT's {len(paths)} cannot be read ({type(error).__name__}); restore it: "
                "private/sources lists them"
            ) from None
        index = grid.indices(position)[0]
        if np.abs(index - np.round(index)).max() < 0.1 and np.abs(index[:2]).max() < 0.1:
            found[round(index[2])] = data
    if sorted(found) != list(range(grid.size[2])):
        raise UserError(
            f"export: {len(found)} of {grid.size[2]} slices of the converted CT found among {len(paths)} files; the "
            "files have changed since the conversion: run the stage images again"
        )
    return [found[index] for index in range(grid.size[2])]


def read_structures(files: PatientFiles, grid: Grid) -> list[Structure]:
    """Return all non-empty structures on the CT's grid: lesions as drawn, rings (nearest voxel) and organs."""
    tumor = sitk.GetArrayFromImage(read_volume(files.tumor))
    found = [Structure(name, "tumor", tumor == label) for name, label in LESIONS.items()]
    regions = read_volume(files.regions)
    reference = grid.image(np.zeros(grid.shape, dtype=np.uint8))
    onto = sitk.GetArrayFromImage(sitk.Resample(regions, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    rings = {
        name: labels for name, labels in read_json(files.region_facts)["labels"].items() if name.startswith("ring_")
    }
    found += [Structure(name, "ring", np.isin(onto, labels)) for name, labels in rings.items()]
    organs = sitk.GetArrayFromImage(read_volume(files.organs))
    labels = read_json(files.organ_facts)["labels"]
    found += [Structure(name, "organ", organs == label) for name, label in labels.items() if name != "outside"]
    return [structure for structure in found if structure.mask.any()]
