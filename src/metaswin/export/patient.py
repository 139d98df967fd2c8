"""Write one patient's tumour, rings and organs as DICOM SEG and RTSTRUCT: the work of rule ``export_dicom``."""

from collections.abc import Mapping

import numpy as np
import pydicom
import SimpleITK as sitk

from metaswin.errors import UserError
from metaswin.export.structure import Structure
from metaswin.files import atomic, read_json, read_volume
from metaswin.images.grid import Grid
from metaswin.status import read_status

LESIONS = {"primary": 1, "nodes": 2}


def export_patient(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Write both files; they are empty where an earlier stage has excluded the patient.

    Parameters
    ----------
    inputs : mapping
        ``source`` (the private record), ``ct, tumor`` (stage images), ``organs, names`` (stage organs), ``regions,
        region_facts, status`` (stage regions).
    outputs : mapping
        ``seg`` and ``rtstruct``, below ``private/``.

    Raises
    ------
    UserError
        If the CT's files are no longer those that were converted.
    """
    from metaswin.export.rtstruct import structure_set
    from metaswin.export.seg import segmentation

    if not read_status(inputs["status"]).ok:
        for path in outputs.values():
            with atomic(path) as temporary:
                temporary.touch()
        return
    grid = Grid.of(read_volume(inputs["ct"]))
    slices = ordered_slices(read_json(inputs["source"])["ct"], grid)
    structures = read_structures(inputs, grid)
    for path, dataset in [
        (outputs["seg"], segmentation(slices, structures)),
        (outputs["rtstruct"], structure_set(slices, structures, grid)),
    ]:
        with atomic(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)


def ordered_slices(paths: list[str], grid: Grid) -> list[pydicom.Dataset]:
    """Datasets of the CT's slices (without pixels) in the order of the converted volume's slices.

    Raises
    ------
    UserError
        If a slice lies off the grid, or one is missing.
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
            "files have changed since: run the stage images again"
        )
    return [found[index] for index in range(grid.size[2])]


def read_structures(inputs: Mapping[str, str], grid: Grid) -> list[Structure]:
    """Every structure with a voxel, on the CT's grid: lesions as drawn, rings (nearest voxel), organs."""
    tumor = sitk.GetArrayFromImage(read_volume(inputs["tumor"]))
    found = [Structure(name, "tumor", tumor == label) for name, label in LESIONS.items()]
    regions = read_volume(inputs["regions"])
    reference = grid.image(np.zeros(grid.shape, dtype=np.uint8))
    onto = sitk.GetArrayFromImage(sitk.Resample(regions, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    rings = {
        name: labels for name, labels in read_json(inputs["region_facts"])["labels"].items() if name.startswith("ring_")
    }
    found += [Structure(name, "ring", np.isin(onto, labels)) for name, labels in rings.items()]
    organs = sitk.GetArrayFromImage(read_volume(inputs["organs"]))
    labels = read_json(inputs["names"])["labels"]
    found += [Structure(name, "organ", organs == label) for name, label in labels.items() if name != "outside"]
    return [structure for structure in found if structure.mask.any()]
