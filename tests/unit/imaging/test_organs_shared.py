"""The real TotalSegmentator with stand-in weights on a real CT: deep inside air and soft tissue, the HU's label."""

import tarfile

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import rtstruct_source, write_source
from organs_phantom import drawn, predict
from scipy.ndimage import maximum_filter, minimum_filter

from metaswin.config.imaging import ImagesSettings
from metaswin.config.structures import FAST, model, organ_ids
from metaswin.imaging.convert import convert_patient
from metaswin.simulate.weights import BACKGROUND, write_standin

pytestmark = [pytest.mark.shared, pytest.mark.long]
PATIENT = "STS_019"  # the smallest crop
CENTRES = {1: 40.0, 2: 900.0}  # HU of the only two labels that the stand-in draws
REACH = 6.0  # mm: two voxels of the model


def test_predict_when_a_real_ct_then_every_uniform_place_has_the_label_of_its_hu(shared_data, tmp_path):
    archive = shared_data / "sts/ct-rtstruct.tar.xz"
    if not archive.is_file():
        pytest.skip("the sarcomas are not there: sts/ct-rtstruct.tar.xz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, (m for m in tar if m.name.split("/")[1:2] == [PATIENT]), filter="data")
    dicom, image = tmp_path / "dicom" / PATIENT, tmp_path / "images" / PATIENT
    image.mkdir(parents=True)
    structures = rtstruct_source(str(dicom / "RTSTRUCT/RS.dcm"), [1])
    source = write_source(tmp_path / "source.json", sorted(map(str, (dicom / "CT").iterdir())), structures)
    outputs = [image / name for name in ("ct.nii.gz", "tumor.nii.gz", "image.json", "status.json")]
    convert_patient(source, *outputs, ImagesSettings(), tmp_path / "details")
    write_standin(tmp_path / "weights", FAST, CENTRES)

    settings = {"tasks": ["total"], "fast": True, "structures": [], "device": "cpu", "threads": 2}
    found, _ = predict([image], tmp_path, **settings, weights=str(tmp_path / "weights"))

    ct = sitk.ReadImage(str(outputs[0]))
    (made,) = found.values()
    labels = drawn(tmp_path, made["key"])
    assert labels.shape == ct.GetSize()[::-1]
    ids, names = organ_ids(), model(FAST).labels
    kinds = {0: BACKGROUND, **CENTRES}
    nearest = np.argmin([abs(sitk.GetArrayFromImage(ct) - hu) for hu in kinds.values()], axis=0)
    reach = [2 * int(np.ceil(REACH / spacing)) + 1 for spacing in ct.GetSpacing()[::-1]]
    uniform = minimum_filter(nearest, reach) == maximum_filter(nearest, reach)
    for kind in (0, 1):
        there = uniform & (nearest == kind)
        assert there.sum() > 1000
        assert set(np.unique(labels[there])) == {0 if kind == 0 else ids[names[kind]]}
