"""Write a whole simulated cohort: a phantom for testing pipelines, never data from which to learn about patients.

Files below the output folder: ``clinical.csv``; ``dicom/`` (level dicom) or ``features.csv`` (level table);
``truth.csv`` with the latent variables and the true risk, which the workflow never reads; ``simulation.json`` with
the options, the population AUCs and the versions. The bytes depend on the options only, not on the number of
processes.
"""

import platform
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import metaswin
from metaswin.core.errors import UserError
from metaswin.core.files import atomic, read_json, write_json
from metaswin.simulate import clinical, risk
from metaswin.simulate.lesions import LesionPlan
from metaswin.simulate.options import SimulationOptions
from metaswin.simulate.population import STREAM_COHORT, Patients, draw_patients, draw_uniforms
from metaswin.simulate.scanners import SCANNERS

KIND = "metaswin simulation"
PACKAGES = ("numpy", "scipy", "scikit-image", "pydicom", "pandas")
OWN_FILES = ("clinical.csv", "features.csv", "truth.csv", "simulation.json")


def simulate_cohort(out: Path, options: SimulationOptions, jobs: int = 1) -> Path:
    """Write the cohort of `options` into the folder `out`, and replace an earlier simulation there.

    Parameters
    ----------
    out : Path
        A new or empty folder, or one that contains a simulation.
    options : SimulationOptions
        Options of the simulation.
    jobs : int
        Number of processes that write patients at the same time.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    UserError
        If `out` contains anything other than a simulation.
    """
    out = Path(out)
    _clear(out)
    record = {"kind": KIND, "complete": False, "options": options.model_dump(mode="json")}
    write_json(out / "simulation.json", record)
    base = risk.baseline(options)
    uniforms = draw_uniforms(STREAM_COHORT, options.seed, options.n)
    patients = draw_patients(uniforms, options)
    outcome = risk.draw_outcome(patients, uniforms, options, base)
    truth = clinical.truth_table(patients, options, base)
    if options.level == "dicom":
        volumes = _write_images(out / "dicom", _image_plans(patients, uniforms, options), jobs)
        truth = pd.concat([truth, volumes], axis=1)
    else:
        from metaswin.simulate.tables import feature_table

        _write_csv(out / "features.csv", feature_table(patients, options))
    _write_csv(out / "truth.csv", truth)
    _write_csv(out / "clinical.csv", clinical.clinical_table(patients, outcome, uniforms, options))
    population = _population(options, base)
    write_json(out / "simulation.json", {**record, "complete": True, "population": population, "versions": _versions()})
    return out


def _clear(out: Path) -> None:
    """Remove an earlier simulation from `out`, or create `out`; raise `UserError` if it contains anything else."""
    if out.exists() and not out.is_dir():
        raise UserError(f"cannot simulate into {out}: it is a file; give a new folder with --out")
    if out.is_dir() and any(out.iterdir()) and not _is_simulation(out):
        raise UserError(
            f"cannot simulate into {out}: the folder is not empty and does not contain a simulation of metaswin; "
            "give a new or empty folder with --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    if (out / "dicom").is_dir():
        shutil.rmtree(out / "dicom")
    for name in OWN_FILES[:-1]:
        (out / name).unlink(missing_ok=True)


def _is_simulation(out: Path) -> bool:
    path = out / "simulation.json"
    try:
        return path.is_file() and read_json(path).get("kind") == KIND
    except (ValueError, AttributeError):
        return False


def _image_plans(patients: Patients, uniforms: dict[str, np.ndarray], options: SimulationOptions) -> list[Any]:
    from metaswin.simulate.dicom import Subject
    from metaswin.simulate.patient import ImagePlan

    plans = []
    for index in range(options.n):
        start = clinical.treatment_start(uniforms["start"][index])
        scanner = int(patients.scanner[index])
        plans.append(
            ImagePlan(
                subject=Subject(
                    patient=clinical.study_id(index),
                    key=(options.seed, index),
                    male=bool(patients.male[index]),
                    born=clinical.birthday(start, float(patients.age[index])),
                    scanned=clinical.scan_day(start, uniforms["scan"][index]),
                ),
                lesions=LesionPlan(
                    texture=float(patients.texture[index]),
                    volume=float(patients.volume[index]),
                    peritumoral=float(patients.peritumoral[index]),
                    site=clinical.site_name(int(patients.site[index])),
                    n_stage=int(patients.n_stage[index]),
                    contrast=bool(uniforms["contrast"][index] < SCANNERS[scanner].contrast_share),
                ),
                scanner=scanner,
                matrix=options.matrix,
                coverage=options.coverage,
                scanner_shift=options.scanner_shift,
                extra_series=options.extra_series,
            )
        )
    return plans


def _write_images(root: Path, plans: list[Any], jobs: int) -> pd.DataFrame:
    """Write every patient's images and return the true volumes (mm³)."""
    from metaswin.simulate.patient import write_patient

    write = partial(write_patient, root)
    if jobs == 1:
        volumes = [write(plan) for plan in plans]
    else:
        with ProcessPoolExecutor(min(jobs, len(plans)), mp_context=get_context("spawn")) as pool:
            volumes = list(pool.map(write, plans))
    return pd.DataFrame(volumes).rename(columns=lambda role: f"volume_{role}_mm3")


def _population(options: SimulationOptions, base: float) -> dict[str, Any]:
    return {
        "definition": risk.DEFINITION,
        "draws": options.draws,
        "baseline_log_hazard": base,
        "auc": risk.population_aucs(options, base),
    }


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in PACKAGES}
    return {"metaswin": metaswin.__version__, "python": platform.python_version(), **packages}


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file with Arrow: missing cells are empty, float32 keeps its few digits, wide tables take seconds."""
    import pyarrow as pa
    import pyarrow.csv

    with atomic(path) as temporary:
        pyarrow.csv.write_csv(
            pa.Table.from_pandas(table, preserve_index=False),
            temporary,
            pyarrow.csv.WriteOptions(quoting_style="needed"),
        )
