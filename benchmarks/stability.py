"""Stability of the features of a run's patients by both radiomics engines, and what it costs.

    python -P benchmarks/stability.py WORKING_DIRECTORY/results [--patients 20] [--all-images]

Takes the first patients' crops, regions and organs from ``results/regions`` and ``results/organs`` and perturbs the
masks with the default settings: tumour and ring 0-10 mm; 10 random masks, one shrunk, one as drawn, one grown. The
intraclass correlations of metaswin's engine are compared with those of PyRadiomics, image type Original; equal means
within 1e-6. With ``--all-images`` metaswin's engine alone, all 18 images. Times are the processor's, one thread, warm
kernels. Exit status 1 if a value differs.

``-P`` keeps this folder from being searched for modules: it has a ``radiomics.py`` and a ``coverage.py``.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.cohort.folds import Folds
from metaswin.config.features import StabilitySettings
from metaswin.config.imaging import RegionsSettings
from metaswin.core.files import read_table
from metaswin.features.perturbation import RANDOM, PerturbationInputs, perturb_patient
from metaswin.features.stability import measured, stability_table
from metaswin.radiomics.settings import RadiomicsSettings

SETTINGS, REGIONS, SEED = StabilitySettings(), RegionsSettings(), 20250828
NUMBERS = ["icc_random", "low_random", "icc_margin", "low_margin"]


def main() -> int:
    """Print times, differences and how many features are stable."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--all-images", action="store_true")
    parser.add_argument("--designs", type=int, nargs="+", metavar="MASKS")
    arguments = parser.parse_args()
    if arguments.designs:
        return compare_designs(arguments.results, arguments.designs)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    patients = sorted(path.parent.name for path in (arguments.results / "regions").glob("*/regions.json"))
    patients = [name for name in patients if (arguments.results / f"regions/{name}/ct.nii.gz").stat().st_size]
    patients = patients[: arguments.patients]
    if arguments.all_images:
        tables = {"metaswin": judged(arguments.results, patients, RadiomicsSettings(regions=["tumor", "rings"]))}
    else:
        tables = {
            engine: judged(
                arguments.results,
                patients,
                RadiomicsSettings(engine=engine, regions=["tumor", "rings"], image_types=["Original"]),
            )
            for engine in ("metaswin", "pyradiomics")
        }
    for engine, table in tables.items():
        told = table.groupby("modality")["kept"].agg(["sum", "size"])
        print(f"{engine}: kept", "; ".join(f"{name} {row['sum']} of {row['size']}" for name, row in told.iterrows()))
    table = tables["metaswin"]
    kind = table["feature"].str.split("_").str[-2].where(~table["feature"].str.contains("shape"), "shape")
    print(table.assign(kind=kind).groupby(["modality", "kind"])[["kept", "icc_random", "icc_margin"]].mean().round(2))
    if len(tables) == 1:
        return 0
    theirs = tables["pyradiomics"]
    apart = np.abs(table[NUMBERS].to_numpy() - theirs[NUMBERS].to_numpy())
    missing = int((table[NUMBERS].isna() != theirs[NUMBERS].isna()).to_numpy().sum())
    print(f"{apart.size} values compared, largest difference {np.nanmax(apart):.1e}, missing on one side {missing}")
    return int(np.nanmax(apart) > 1e-6 or missing > 0 or not table["kept"].equals(theirs["kept"]))


def compare_designs(results: Path, designs: list[int]) -> int:
    """Print how often fewer random masks of the same patients lead to other decisions."""
    perturbed = read_table(results / "features/perturbed.parquet")
    training = Folds.of(read_table(next((results / "folds").glob("*.parquet"))), 0).training()
    numbers = sorted(perturbed.loc[perturbed["kind"] == RANDOM, "number"].unique())

    def decisions(chosen: list[int]) -> pd.Series:
        rows = perturbed[(perturbed["kind"] != RANDOM) | perturbed["number"].isin(chosen)].copy()
        random = rows["kind"] == RANDOM
        rows.loc[random, "number"] = rows.loc[random, "number"].map(chosen.index)
        settings = StabilitySettings(perturbations=len(chosen))
        table = stability_table(measured(rows, len(chosen)), training, settings)
        return table.set_index(["fit", "modality", "feature"])["kept"]

    half = len(numbers) // 2
    every = decisions(numbers)
    pairs = {f"{len(numbers)} and the first {n}": (every, decisions(numbers[:n])) for n in designs}
    pairs[f"two draws of {half}"] = (decisions(numbers[:half]), decisions(numbers[half : 2 * half]))
    for name, (first, second) in pairs.items():
        first, second = first.align(second, join="inner")
        print(
            f"{name}: {len(first)} decisions, same {np.mean(first == second):.2%}, kept by the first only "
            f"{np.mean(first & ~second):.2%}, by the second only {np.mean(~first & second):.2%}"
        )
    return 0


def judged(results: Path, patients: list[str], radiomics: RadiomicsSettings) -> pd.DataFrame:
    """Table of stability; prints the seconds a patient."""
    parts, seconds = [], []
    output = results.parent / "stability-benchmark.parquet"
    status = output.with_suffix(".status.json")
    for patient in [patients[0], *patients]:  # the first one loads the kernels
        regions, organs = results / "regions" / patient, results / "organs" / patient
        inputs = PerturbationInputs(
            ct=regions / "ct.nii.gz",
            regions=regions / "regions.nii.gz",
            facts=regions / "regions.json",
            organs=organs / "organs.nii.gz",
            names=organs / "organs.json",
            status=regions / "status.json",
        )
        start = time.process_time()
        perturb_patient(patient, inputs, output, status, SETTINGS, radiomics, REGIONS, results.parent, SEED)
        seconds.append(time.process_time() - start)
        parts.append(read_table(output))
    for path in (output, status):
        path.unlink()
    voxels = pd.concat(parts[1:]).groupby("region")["voxels"].median().to_dict()
    told = f"{radiomics.engine}, {len(radiomics.image_types)} kinds of images, {len(patients)} patients"
    span = f"{np.mean(seconds[1:]):.1f} s a patient ({min(seconds[1:]):.1f}-{max(seconds[1:]):.1f})"
    print(f"{told}: {span}, median voxels {voxels}", flush=True)
    arranged = measured(pd.concat(parts[1:], ignore_index=True), SETTINGS.perturbations)
    return stability_table(arranged, {"all": patients}, SETTINGS)


if __name__ == "__main__":
    sys.exit(main())
