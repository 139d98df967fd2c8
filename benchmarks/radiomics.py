"""Radiomics engines on the same data: time, ratio and peak memory.

    python benchmarks/radiomics.py [--phantom FOLDER [--flash PYTHON]] [--patient FOLDER] [--scale]

--phantom FOLDER   unpacked IBSI-1 CT phantom (nifti/image, nifti/mask): 1 mm, 19 image types, 1781 features, warm
                   kernels, PyRadiomics by its untouched execute(); and the first call on a machine, which compiles them
--flash PYTHON     interpreter of an environment with flash-radiomics, which is then measured too; without it this
                   environment's, where it is installed
--patient FOLDER   one patient of a run, results/regions/<patient>: the whole job from the start of Python; and tumour
                   and two rings (0-10 and 10-20 mm) against PyRadiomics' execute() called for each region
--scale            how time and memory grow with the voxels of a region, up to 10 million

Each measurement runs in a process of its own on one thread. Ratios are of processor time, which other jobs on the
machine disturb least; wall time is printed beside it.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
TYPES = ("Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")
REPEATS = {"metaswin": 3, "pyradiomics": 1, "flash-radiomics": 1}
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)


def main() -> None:
    """Run what was asked for, or one measurement as a child."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", type=Path)
    parser.add_argument("--flash", default=sys.executable if importlib.util.find_spec("flash_radiomics") else None)
    parser.add_argument("--patient", type=Path)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, engine, folder = arguments.child
        print(json.dumps(TASKS[task](engine, Path(folder))))
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.phantom:
            voxels = prepare_phantom(arguments.phantom, folder)
            title = f"IBSI CT phantom, 1 mm, {voxels} voxels, 19 image types"
            compare_engines(title, "phantom", folder, flash=arguments.flash)
            first_call(folder)
        if arguments.patient:
            patient, name = arguments.patient.resolve(), arguments.patient.name
            compare_engines(f"whole job of {name}", "job", patient, whole=True)
            compare_engines(f"tumour and two rings of {name}", "rings", patient)
        if arguments.scale:
            for wanted in SIZES:
                compare_engines(f"ball of {wanted} voxels, 3 images", "ball", Path(str(wanted)))


def compare_engines(title: str, task: str, folder: Path, whole: bool = False, flash: str | None = None) -> None:
    """Measure the engines and print a line for each and the ratios; `flash` is flash-radiomics' interpreter."""
    found = {}
    pythons = {"metaswin": sys.executable, "pyradiomics": sys.executable} | (
        {"flash-radiomics": flash} if flash else {}
    )
    for engine, python in pythons.items():
        if engine == "metaswin":
            child(task, engine, folder)  # compiles the kernels, once an installation
        result, wall, used = child(task, engine, folder, python)
        if whole:
            result |= {"processor": used.ru_utime + used.ru_stime, "wall": wall}
        found[engine] = result | {"peak": used.ru_maxrss / 1024}
    print(title)
    ours, reference = found["metaswin"], found["pyradiomics"]
    for engine, result in found.items():
        compared, different = compare(result["values"], reference["values"])
        print(
            f"  {engine}: {result['processor']:.2f} s of processor time, {result['wall']:.2f} s wall, "
            f"peak {result['peak']:.0f} MB; {result['processor'] / ours['processor']:.1f} times ours "
            f"(wall {result['wall'] / ours['wall']:.1f}); {different} of {compared} values differ from PyRadiomics'",
            flush=True,
        )


def first_call(folder: Path) -> None:
    """Time of the phantom's first extraction in a process, with kernels to compile and with compiled ones."""
    with TemporaryDirectory() as cache:
        for state in ("kernels compiled", "kernels loaded from disk"):
            result, _, _ = child("first", "metaswin", folder, NUMBA_CACHE_DIR=cache)
            print(
                f"  first call, {state}: {result['processor']:.1f} s of processor time, {result['wall']:.1f} s wall",
                flush=True,
            )


def child(
    task: str, engine: str, folder: Path, python: str = sys.executable, **environment: str
) -> tuple[dict, float, Any]:
    """Run one measurement in a process of its own: result, wall time from its start, resources used."""
    # -P: this file must not be taken for PyRadiomics' package of the same name.
    command = [python, "-P", __file__, "--child", task, engine, str(folder)]
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if python != sys.executable:
        environment["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | environment
    )
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed; run it by hand to see why")
    return json.loads(output.splitlines()[-1]), time.perf_counter() - start, used


def timed(function: Callable[[], dict[str, float]], repeats: int) -> dict[str, Any]:
    """Values and the shortest time of several calls, after one that loads the kernels."""
    if repeats > 1:
        function()
    processor, wall = [], []
    for _ in range(repeats):
        start, wall_start = time.process_time(), time.perf_counter()
        values = function()
        processor.append(time.process_time() - start)
        wall.append(time.perf_counter() - wall_start)
    return {"processor": min(processor), "wall": min(wall), "values": {k: float(v) for k, v in values.items()}}


def one_thread() -> None:
    """ITK's filters on one thread."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def parameters(**settings: Any) -> dict[str, Any]:
    """A PyRadiomics parameter file's content: all features on 19 image types."""
    from metaswin.radiomics.names import FEATURES

    return {
        "setting": {"binWidth": 25, "voxelArrayShift": 1000, "additionalInfo": False, **settings},
        "imageType": {**{name: {} for name in TYPES}, "LoG": {"sigma": [1.0, 2.0, 3.0, 4.0, 5.0]}},
        "featureClass": {name: list(FEATURES[name]) for name in CLASSES},
    }


def prepare_phantom(source: Path, folder: Path) -> int:
    """Resample the phantom to 1 mm once, so that both engines get the same volumes; the mask's voxels."""
    import SimpleITK as sitk

    from metaswin.radiomics import prepare
    from metaswin.radiomics.parameters import read_parameters

    image = sitk.ReadImage(str(next(source.glob("nifti/image/*.nii.gz"))), sitk.sitkFloat32)
    mask = sitk.ReadImage(str(next(source.glob("nifti/mask/*.nii.gz"))), sitk.sitkUInt8)
    settings = read_parameters(None, {"resampledPixelSpacing": [1, 1, 1]}).settings
    image, mask = prepare.resample(image, mask, ("image", "mask"), settings)
    sitk.WriteImage(image, str(folder / "ct.nii.gz"))
    sitk.WriteImage(mask, str(folder / "mask.nii.gz"))
    return int(np.count_nonzero(sitk.GetArrayViewFromImage(mask) == 1))


def phantom(engine: str, folder: Path) -> dict[str, Any]:
    """All features of the phantom."""
    import SimpleITK as sitk

    one_thread()
    image, mask = (sitk.ReadImage(str(folder / name)) for name in ("ct.nii.gz", "mask.nii.gz"))
    if engine == "metaswin":
        from metaswin.radiomics.features import extract_features

        return timed(lambda: extract_features(image, mask, parameters()), REPEATS[engine])
    if engine == "flash-radiomics":
        from flash_radiomics import RadiomicsFeatureExtractor as Flash

        # It keeps what it computed of a case: only its first call counts.
        flash = Flash(parameters(), backend="cpu", num_threads=1)
        with TemporaryDirectory() as temporary:
            return timed(lambda: dict(flash.execute(image, mask, output_hdf5_path=f"{temporary}/f.h5")), 1)
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    extractor = RadiomicsFeatureExtractor(parameters())
    return timed(lambda: dict(extractor.execute(image, mask)), REPEATS[engine])


def first(engine: str, folder: Path) -> dict[str, Any]:
    """All features of the phantom, called once."""
    import SimpleITK as sitk

    from metaswin.radiomics.features import extract_features

    one_thread()
    image, mask = (sitk.ReadImage(str(folder / name)) for name in ("ct.nii.gz", "mask.nii.gz"))
    return timed(lambda: extract_features(image, mask, parameters()), 1)


def job(engine: str, folder: Path) -> dict[str, Any]:
    """The workflow's job of a patient."""
    from metaswin.features.radiomics import RadiomicsInputs, extract_patient
    from metaswin.radiomics.settings import RadiomicsSettings

    names = ("ct.nii.gz", "regions.nii.gz", "regions.json", "status.json")
    inputs = RadiomicsInputs(*(folder / name for name in names))
    with TemporaryDirectory() as temporary:
        path = f"{temporary}/table.parquet"
        settings = RadiomicsSettings(engine=engine)
        extract_patient(inputs, path, f"{temporary}/status.json", settings, f"{temporary}/details")
        from metaswin.core.files import read_table

        table = read_table(path).drop(columns=["patient", "voxels"]).set_index("region")
    return {"values": {f"{region} {name}": value for region, row in table.iterrows() for name, value in row.items()}}


def rings(engine: str, folder: Path) -> dict[str, Any]:
    """Tumour and two rings: one call here, one execute() for each region in PyRadiomics."""
    import SimpleITK as sitk
    from scipy import ndimage

    from metaswin.radiomics.settings import RadiomicsSettings

    one_thread()
    image = sitk.ReadImage(str(folder / "ct.nii.gz"))
    tumour = np.isin(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "regions.nii.gz"))), (1, 2))
    distance = ndimage.distance_transform_edt(~tumour, sampling=image.GetSpacing()[::-1])
    labels = np.select([tumour, distance <= 10, distance <= 20], [1, 11, 12], 0).astype(np.uint8)
    if engine == "metaswin":
        from metaswin.radiomics.extract import extract
        from metaswin.radiomics.regions import cut_region

        settings = RadiomicsSettings(crop="per-region")

        def ours() -> dict[str, float]:
            regions = {label: cut_region(image, labels, [label], settings) for label in (1, 11, 12)}
            extract(image, list(regions.values()), settings)
            return {f"{label} {name}": v for label, region in regions.items() for name, v in region.values.items()}

        return timed(ours, REPEATS[engine])
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    from metaswin.radiomics.names import enabled_features

    asked = parameters(resampledPixelSpacing=list(image.GetSpacing()))
    del asked["imageType"]["Gradient"]
    asked["featureClass"] = {name: enabled_features(name, RadiomicsSettings()) for name in CLASSES if name != "ngtdm"}
    extractor = RadiomicsFeatureExtractor(asked)
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(image)

    def theirs() -> dict[str, float]:
        found = {label: extractor.execute(image, mask, label=label) for label in (1, 11, 12)}
        return {f"{label} {name}": value for label, values in found.items() for name, value in values.items()}

    return timed(theirs, REPEATS[engine])


def ball(engine: str, folder: Path) -> dict[str, Any]:
    """A ball of so many voxels (the folder's name) on the original image, one LoG and one pointwise filter."""
    import SimpleITK as sitk
    from scipy import ndimage

    from metaswin.radiomics.extract import extract
    from metaswin.radiomics.regions import cut_region
    from metaswin.radiomics.settings import RadiomicsSettings

    one_thread()
    types = ["Original", "LoG", "Square"]
    settings = RadiomicsSettings(engine=engine, image_types=types, log_sigma=[2.0], omit_features=[])

    def values(voxels: int) -> dict[str, float]:
        radius = (voxels * 3 / 4 / np.pi) ** (1 / 3)
        size = int(2 * radius) + 12
        z, y, x = np.ogrid[:size, :size, :size]
        labels = ((z - size / 2) ** 2 + (y - size / 2) ** 2 + (x - size / 2) ** 2 < radius**2).astype(np.uint8)
        noise = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
        image = sitk.GetImageFromArray(40 + 300 * ndimage.gaussian_filter(noise, 1.0))
        region = cut_region(image, labels, [1], settings)
        nonlocal start, wall
        start, wall = time.process_time(), time.perf_counter()
        extract(image, [region], settings)
        return region.values

    start = wall = 0.0
    values(1000)  # loads the kernels
    found = values(int(folder.name))
    return {"processor": time.process_time() - start, "wall": time.perf_counter() - wall, "values": found}


def compare(ours: dict[str, float], theirs: dict[str, float]) -> tuple[int, int]:
    """Values compared, and those that differ by more than 1e-6 relative or 1e-9 absolute."""
    different = len(ours.keys() ^ theirs.keys())
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        different += not (abs(a - b) <= max(1e-6 * abs(b), 1e-9) or (np.isnan(a) and np.isnan(b)))
    return len(theirs), different


TASKS = {"phantom": phantom, "first": first, "job": job, "rings": rings, "ball": ball}

if __name__ == "__main__":
    main()
