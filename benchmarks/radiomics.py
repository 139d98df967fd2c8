"""Both radiomics engines on the same data: time, ratio and peak memory.

    python benchmarks/radiomics.py [--phantom FOLDER] [--patient FOLDER] [--scale]

--phantom FOLDER   unpacked IBSI-1 CT phantom (nifti/image, nifti/mask): 1 mm, 19 image types, 1781 features, warm
                   kernels, PyRadiomics by its untouched execute()
--patient FOLDER   one patient of a run, results/regions/<patient>: the whole job from the start of Python; and tumour
                   and two rings (0-10 and 10-20 mm) against PyRadiomics' execute() called for each region
--scale            how the engine's time grows with the voxels of a region, up to 10 million

Each measurement runs in a process of its own on one thread. Ratios are of processor time, which other jobs on the
machine disturb least; wall time is printed beside it.
"""

import argparse
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
REPEATS = {"metaswin": 3, "pyradiomics": 1}


def main() -> None:
    """Run what was asked for, or one measurement as a child."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", type=Path)
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
            both(f"IBSI CT phantom, 1 mm, {voxels} voxels, 19 image types", "phantom", folder)
        if arguments.patient:
            both(f"whole job of {arguments.patient.name}", "job", arguments.patient.resolve(), whole=True)
            both(f"tumour and two rings of {arguments.patient.name}", "rings", arguments.patient.resolve())
    if arguments.scale:
        for line in child("scale", "metaswin", Path())[0]["lines"]:
            print(line)


def both(title: str, task: str, folder: Path, whole: bool = False) -> None:
    """Measure both engines and print a line for each and the ratio."""
    found = {}
    for engine in ("metaswin", "pyradiomics"):
        if whole and engine == "metaswin":
            child(task, engine, folder)  # compiles the kernels, once an installation
        result, wall, used = child(task, engine, folder)
        if whole:
            result |= {"processor": used.ru_utime + used.ru_stime, "wall": wall}
        found[engine] = result | {"peak": used.ru_maxrss / 1024}
    print(title)
    for engine, result in found.items():
        print(
            f"  {engine}: {result['processor']:.2f} s of processor time, {result['wall']:.2f} s wall, "
            f"peak {result['peak']:.0f} MB, {len(result['values'])} values"
        )
    ours, theirs = found["metaswin"], found["pyradiomics"]
    compared, different = compare(ours["values"], theirs["values"])
    print(
        f"  ratio {theirs['processor'] / ours['processor']:.1f} (wall {theirs['wall'] / ours['wall']:.1f}); "
        f"{compared} values compared, {different} differ",
        flush=True,
    )


def child(task: str, engine: str, folder: Path) -> tuple[dict, float, Any]:
    """Run one measurement in a process of its own: result, wall time from its start, resources used."""
    # -P: this file must not be taken for PyRadiomics' package of the same name.
    command = [sys.executable, "-P", __file__, "--child", task, engine, str(folder)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | threads
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
    image, mask = prepare.resample(image, mask, settings)
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
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    extractor = RadiomicsFeatureExtractor(parameters())
    return timed(lambda: dict(extractor.execute(image, mask)), REPEATS[engine])


def job(engine: str, folder: Path) -> dict[str, Any]:
    """The workflow's job of a patient."""
    from metaswin.radiomics.patient import extract_patient
    from metaswin.radiomics.settings import RadiomicsSettings

    inputs = {name: str(folder / f"{name}.nii.gz") for name in ("ct", "regions")}
    inputs |= {"facts": str(folder / "regions.json"), "status": str(folder / "status.json")}
    with TemporaryDirectory() as temporary:
        outputs = {"table": f"{temporary}/table.parquet", "status": f"{temporary}/status.json"}
        extract_patient(inputs, outputs, RadiomicsSettings(engine=engine), f"{temporary}/details")
        from metaswin.files import read_table

        table = read_table(outputs["table"]).drop(columns=["patient", "voxels"]).set_index("region")
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
        from metaswin.radiomics.region import cut_region

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


def scale(engine: str, folder: Path) -> dict[str, Any]:
    """Time of a ball of more and more voxels on the original image and one LoG."""
    import SimpleITK as sitk
    from scipy import ndimage

    from metaswin.radiomics.extract import extract
    from metaswin.radiomics.region import cut_region
    from metaswin.radiomics.settings import RadiomicsSettings

    settings = RadiomicsSettings(image_types=["Original", "LoG", "Square"], log_sigma=[2.0], omit_features=[])
    lines = []
    for wanted in (10_000, 10_000, 100_000, 1_000_000, 10_000_000):
        radius = (wanted * 3 / 4 / np.pi) ** (1 / 3)
        size = int(2 * radius) + 12
        z, y, x = np.ogrid[:size, :size, :size]
        labels = ((z - size / 2) ** 2 + (y - size / 2) ** 2 + (x - size / 2) ** 2 < radius**2).astype(np.uint8)
        noise = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
        image = sitk.GetImageFromArray(40 + 300 * ndimage.gaussian_filter(noise, 1.0))
        start = time.process_time()
        region = cut_region(image, labels, [1], settings)
        extract(image, [region], settings)
        seconds = time.process_time() - start
        lines.append(
            f"{region.voxels} voxels, 3 images: {seconds:.2f} s, {seconds / region.voxels * 1e9 / 3:.0f} ns a voxel"
        )
    return {"lines": lines[1:]}  # the first one loads the kernels


def compare(ours: dict[str, float], theirs: dict[str, float]) -> tuple[int, int]:
    """Values compared, and those that differ by more than 1e-6 relative or 1e-9 absolute."""
    different = len(ours.keys() ^ theirs.keys())
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        different += not (abs(a - b) <= max(1e-6 * abs(b), 1e-9) or (np.isnan(a) and np.isnan(b)))
    return len(theirs), different


TASKS = {"phantom": phantom, "job": job, "rings": rings, "scale": scale}

if __name__ == "__main__":
    main()
