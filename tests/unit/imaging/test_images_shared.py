"""Contours of real patients: the IBSI CT phantom and the soft-tissue sarcomas."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import rtstruct_source, write_source

from metaswin.config.imaging import ImagesSettings
from metaswin.core.grid import Grid
from metaswin.core.status import read_status
from metaswin.imaging.contours import area
from metaswin.imaging.convert import convert_patient
from metaswin.imaging.rtstruct import read_rtstruct

pytestmark = pytest.mark.shared


def archive(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the shared data")
    return path


def convert(ct: Path, structures: Path, folder: Path) -> tuple[sitk.Image, sitk.Image, dict, list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    source = write_source(folder / "source.json", sorted(map(str, ct.iterdir())), rtstruct_source(str(structures), [1]))
    outputs = [folder / name for name in ("ct.nii.gz", "tumor.nii.gz", "image.json", "status.json")]
    convert_patient(source, *outputs, ImagesSettings(), folder / "details")
    status = read_status(outputs[3])
    assert status.ok, status.problem
    images = (sitk.ReadImage(str(path)) for path in outputs[:2])
    return *images, json.loads(outputs[2].read_text()), [warning.code for warning in status.warnings]


def test_convert_when_ibsi_phantom_then_image_and_mask_equal_the_reference_voxels(shared_data, tmp_path):
    with tarfile.open(archive(shared_data / "ibsi/ibsi1-ct-phantom.tar.xz")) as tar:
        tar.extractall(tmp_path, filter="data")
    phantom = tmp_path / "ibsi_1_ct_radiomics_phantom"
    (structures,) = (phantom / "dicom/mask").iterdir()
    ct, tumor, _, warnings = convert(phantom / "dicom/image", structures, tmp_path / "out")
    for made, name in ((ct, "image"), (tumor, "mask")):
        reference = sitk.ReadImage(str(next((phantom / "nifti" / name).glob("*.nii.gz"))))
        assert Grid.of(made).same_as(Grid.of(reference))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(made), sitk.GetArrayFromImage(reference))
    assert warnings == []


def volume_errors(path: Path, folder: Path, patients: int | None) -> dict[str, float]:
    """Relative difference of mask volume and contour area × spacing, by patient, of the first patients of the archive.

    The area is that of the polygons in mm, which does not see the pixels.
    """
    errors = {}
    for patient, root in extracted(path, folder, patients):
        ct, _, facts, warnings = convert(root / "CT", root / "RTSTRUCT/RS.dcm", folder / "out" / patient)
        # The RTSTRUCTs name the slices of the uncropped originals.
        assert warnings == ["contours-by-position"]
        areas = [area(contour[:, :2]) for contour in read_rtstruct(root / "RTSTRUCT/RS.dcm").rois[1].contours]
        errors[patient] = facts["volumes_mm3"]["primary"] / (sum(areas) * ct.GetSpacing()[2]) - 1
    return errors


def extracted(path: Path, folder: Path, patients: int | None) -> list[tuple[str, Path]]:
    """Folders of the first patients; the archive is read only as far as needed."""
    names: list[str] = []
    with tarfile.open(path) as tar:
        for member in tar:
            parts = member.name.split("/")
            if len(parts) > 2 and parts[1] not in names:
                if len(names) == patients:
                    break
                names.append(parts[1])
            tar.extract(member, folder, filter="data")
    return [(name, folder / "dicom" / name) for name in sorted(names)]


def test_convert_when_sarcoma_contours_then_volume_is_that_of_the_contours(shared_data, tmp_path):
    errors = volume_errors(archive(shared_data / "sts/ct-rtstruct.tar.xz"), tmp_path, patients=4)
    assert len(errors) == 4
    assert max(map(abs, errors.values())) < 0.01, errors


@pytest.mark.long
def test_convert_when_all_sarcoma_contours_then_volume_is_that_of_the_contours(shared_data, tmp_path):
    errors = volume_errors(archive(shared_data / "sts/ct-rtstruct.tar.xz"), tmp_path, patients=None)
    assert len(errors) == 33
    assert max(map(abs, errors.values())) < 0.01, errors
