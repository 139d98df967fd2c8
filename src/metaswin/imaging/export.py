"""Export the tumour, rings and organs of one patient as DICOM SEG and RTSTRUCT."""

import csv
from functools import cache
from importlib import resources

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes as pydicom_codes
from pydicom.sr.coding import Code

from metaswin import __version__
from metaswin.core.errors import UserError
from metaswin.core.files import atomic, read_json, read_volume
from metaswin.core.grid import Grid
from metaswin.core.status import read_status
from metaswin.imaging.export_rtstruct import Structure, structure_set
from metaswin.imaging.patches import PatientFiles

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


def export_patient(source: str, files: PatientFiles, seg: str, rtstruct: str) -> None:
    """Write the SEG and the RTSTRUCT of one patient; both are empty if an earlier stage has excluded the patient.

    Parameters
    ----------
    source : str
        The private record that lists the CT's files.
    files : PatientFiles
    seg, rtstruct : str
        Output files, below ``private/``.

    Raises
    ------
    UserError
        If the CT's files are no longer those that were converted.
    """

    if not read_status(files.status).ok:
        for path in (seg, rtstruct):
            with atomic(path) as temporary:
                temporary.touch()
        return
    grid = Grid.of(read_volume(files.ct))
    slices = ordered_slices(read_json(source)["ct"], grid)
    structures = read_structures(files, grid)
    for path, dataset in [
        (seg, segmentation(slices, structures)),
        (rtstruct, structure_set(slices, structures, grid)),
    ]:
        with atomic(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)


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
