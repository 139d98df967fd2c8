"""Both engines on real tumours and their rings: two patients of the soft-tissue sarcoma collection, both crops."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import rtstruct_source, write_source
from radiomics.featureextractor import RadiomicsFeatureExtractor

from metaswin.config.imaging import ImagesSettings, RegionsSettings
from metaswin.core.problems import Findings
from metaswin.imaging.convert import convert_patient
from metaswin.imaging.grids import resample
from metaswin.imaging.regions import make_regions
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import FEATURES
from metaswin.radiomics.regions import cut_region
from metaswin.radiomics.settings import RadiomicsSettings

pytestmark = [pytest.mark.shared, pytest.mark.long]
PATIENTS = ("STS_019", "STS_025")  # the smallest crops
SETTINGS = RadiomicsSettings(
    image_types=["Original", "LoG", "Square", "Exponential", "Gradient"],
    log_sigma=[2.0],
    feature_classes=list(FEATURES),
    omit_features=[],
)


@pytest.fixture(scope="module")
def cases(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[sitk.Image, np.ndarray, dict]]:
    """CT (HU, 1 mm), label map and labels of each region of the patients, as the earlier stages make them."""
    archive = shared_data / "sts/ct-rtstruct.tar.xz"
    if not archive.is_file():
        pytest.skip("the sarcomas are not there: sts/ct-rtstruct.tar.xz")
    folder = tmp_path_factory.mktemp("sts")
    with tarfile.open(archive) as tar:
        wanted = (member for member in tar if member.name.split("/")[1:2] and member.name.split("/")[1] in PATIENTS)
        tar.extractall(folder, wanted, filter="data")
    return [case(folder / "dicom" / patient, folder / "out" / patient) for patient in PATIENTS]


def case(dicom: Path, out: Path) -> tuple[sitk.Image, np.ndarray, dict]:
    out.mkdir(parents=True)
    structures = rtstruct_source(str(dicom / "RTSTRUCT/RS.dcm"), [1])
    source = write_source(out / "source.json", sorted(map(str, (dicom / "CT").iterdir())), structures)
    outputs = [out / name for name in ("ct.nii.gz", "tumor.nii.gz", "image.json", "status.json")]
    convert_patient(source, *outputs, ImagesSettings(), out / "details")
    assert json.loads(outputs[2].read_text())["volumes_mm3"]["primary"] > 0
    ct, tumor = (sitk.ReadImage(str(path)) for path in outputs[:2])
    settings = RegionsSettings(crop_margin=10)
    organs = {"labels": {"air": 1, "bone": 2, "outside": 3}}
    made = make_regions(tumor, tumor * 0, organs, settings, Findings(out.name, "regions"))
    return made.grid.image(resample(ct, made.grid, sitk.sitkBSpline).astype(np.float32)), made.labels, made.names


def values(image: sitk.Image, labels: np.ndarray, names: dict, settings: RadiomicsSettings) -> dict[tuple, float]:
    regions = {name: cut_region(image, labels, names[name], settings) for name in ("tumor", "ring_0_10mm")}
    assert extract(image, list(regions.values()), settings) == []
    return {(name, feature): v for name, region in regions.items() for feature, v in region.values.items()}


def assert_equal(found: dict[tuple, float], expected: dict[tuple, float]) -> None:
    assert found.keys() == expected.keys()
    assert len(expected) == 2 * (14 + 5 * 93)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_engines_agree_on_sarcomas_and_rings_of_the_same_crop(cases: list) -> None:
    for image, labels, names in cases:
        expected = values(image, labels, names, SETTINGS.model_copy(update={"engine": "pyradiomics"}))
        assert_equal(values(image, labels, names, SETTINGS), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_features_of_sarcomas_and_rings_cropped_per_region_are_those_of_execute(cases: list) -> None:
    parameters = {
        # Asked for the spacing there is, execute() crops to the region's box and 5 voxels.
        "setting": {"resampledPixelSpacing": [1, 1, 1], "voxelArrayShift": 1000, "additionalInfo": False},
        "imageType": {**{name: {} for name in SETTINGS.image_types}, "LoG": {"sigma": SETTINGS.log_sigma}},
        "featureClass": {name: list(FEATURES[name]) for name in FEATURES},
    }
    extractor = RadiomicsFeatureExtractor(parameters)
    for image, labels, names in cases:
        expected = {}
        for name in ("tumor", "ring_0_10mm"):
            mask = sitk.GetImageFromArray(np.isin(labels, names[name]).astype(np.uint8))
            mask.CopyInformation(image)
            expected |= {(name, feature): float(v) for feature, v in extractor.execute(image, mask).items()}
        found = values(image, labels, names, SETTINGS.model_copy(update={"crop": "per-region"}))
        assert_equal(found, expected)
