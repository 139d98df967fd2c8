"""Compare both radiomics engines feature by feature on the patients of a run.

    python benchmarks/radiomics_parity.py WORKING_DIRECTORY/results [--tables FOLDER] [--per-region]
        [--patients ID ID …]

Takes each patient's crop and regions from ``results/regions``, computes the features with metaswin's engine and
compares them with PyRadiomics on the same crop: computed here, or read from the tables of a run with
``radiomics.engine: pyradiomics`` and the default settings (``--tables``). ``--per-region`` sets ``radiomics.crop`` so
and compares with PyRadiomics' untouched ``execute()`` of each region. Equal means within 1e-6 relative or 1e-9
absolute. Exit status 1 if a value differs, is missing on one side, or nothing was compared.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import SimpleITK as sitk

from metaswin.core.files import read_json, read_table, read_volume
from metaswin.features.radiomics import compute, wanted_regions
from metaswin.radiomics.names import enabled_features, expected_features
from metaswin.radiomics.settings import RadiomicsSettings

RELATIVE, ABSOLUTE = 1e-6, 1e-9


def main() -> int:
    """Print a line a patient and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--tables", type=Path, help="tables of PyRadiomics: FOLDER/<patient>.parquet")
    parser.add_argument("--per-region", action="store_true", help="each region's own crop, against execute()")
    parser.add_argument("--patients", nargs="*", help="only these")
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    folders = [path.parent for path in (arguments.results / "regions").glob("*/regions.json")]
    folders.sort(key=lambda folder: ((folder / "ct.nii.gz").stat().st_size, folder.name))  # small ones first
    total = different = 0
    worst = 0.0
    for folder in folders:
        patient = folder.name
        if arguments.patients and patient not in arguments.patients:
            continue
        if not (folder / "ct.nii.gz").stat().st_size:
            continue
        table = None if arguments.tables is None else arguments.tables / f"{patient}.parquet"
        if table is not None and not table.exists():
            continue
        ours, seconds = timed(folder, "metaswin", "per-region" if arguments.per_region else "patient")
        if arguments.per_region:
            theirs, their_seconds = executed(folder)
        elif table is None:
            theirs, their_seconds = timed(folder, "pyradiomics", "patient")
        else:
            if pq.read_schema(table).metadata[b"engine"] != b"pyradiomics":
                continue
            theirs, their_seconds = rows(read_table(table).to_dict("records")), np.nan
        compared, wrong, largest = compare(ours, theirs)
        regions = len({region for region, _ in theirs})
        total, different, worst = total + compared, different + len(wrong), max(worst, largest)
        print(
            f"{patient}: {regions} regions, {compared} values, {len(wrong)} differ, largest relative difference "
            f"{largest:.1e}; {seconds:.1f} s against {their_seconds:.1f} s of processor time",
            flush=True,
        )
        for line in wrong[:5]:
            print(f"  {line}")
    print(f"{total} values compared, {different} differ, largest relative difference {worst:.1e}")
    return int(total == 0 or different > 0)


def timed(folder: Path, engine: str, crop: str) -> tuple[dict, float]:
    """Values by region and feature, and the processor's seconds."""
    image, labels, facts = read(folder)
    settings = RadiomicsSettings(engine=engine, crop=crop)
    start = time.process_time()
    found, _ = compute(folder.name, image, labels, facts, settings)
    return rows(found), time.process_time() - start


def executed(folder: Path) -> tuple[dict, float]:
    """What PyRadiomics' ``execute()`` gives for each region alone, and the processor's seconds."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    image, labels, facts = read(folder)
    settings = RadiomicsSettings()
    # Asked for the spacing there is, it crops to the region's box and 5 voxels.
    asked = {"resampledPixelSpacing": list(image.GetSpacing()), "additionalInfo": False}
    asked |= {"binWidth": settings.bin_width, "voxelArrayShift": int(settings.voxel_array_shift)}
    types = {name: {"sigma": settings.log_sigma} if name == "LoG" else {} for name in settings.image_types}
    classes = {name: enabled_features(name, settings) for name in settings.feature_classes}
    extractor = RadiomicsFeatureExtractor({"setting": asked, "imageType": types, "featureClass": classes})
    start = time.process_time()
    found, done, present = {}, {}, set(np.unique(labels).tolist())
    for region in wanted_regions(settings.regions, facts):
        key = frozenset(facts["labels"][region]) & present
        if key not in done:
            mask = sitk.GetImageFromArray(np.isin(labels, sorted(key)).astype(np.uint8))
            mask.CopyInformation(image)
            done[key] = {name: float(value) for name, value in extractor.execute(image, mask).items()}
        found |= {(region, name): value for name, value in done[key].items()}
    return found, time.process_time() - start


def read(folder: Path) -> tuple[sitk.Image, np.ndarray, dict]:
    """Crop, label map and what ``regions.json`` says."""
    labels = sitk.GetArrayFromImage(read_volume(folder / "regions.nii.gz"))
    return read_volume(folder / "ct.nii.gz"), labels, read_json(folder / "regions.json")


def rows(records: list[dict]) -> dict[tuple[str, str], float]:
    """(Region, feature) → value, NaN where there is none."""
    names = expected_features(RadiomicsSettings())
    return {(row["region"], name): row.get(name, np.nan) for row in records for name in names}


def compare(ours: dict, theirs: dict) -> tuple[int, list[str], float]:
    """Number of values, those that differ, and the largest relative difference."""
    wrong = [f"{key}: only in one engine" for key in ours.keys() ^ theirs.keys()]
    largest = 0.0
    for key, value in theirs.items():
        own = ours.get(key, np.nan)
        if np.isnan(own) and np.isnan(value):
            continue
        if not abs(own - value) <= max(RELATIVE * abs(value), ABSOLUTE):
            wrong.append(f"{key}: {own!r}, PyRadiomics {value!r}")
        elif abs(value) > ABSOLUTE:
            largest = max(largest, abs(own - value) / abs(value))
    return len(theirs), wrong, largest


if __name__ == "__main__":
    sys.exit(main())
