"""Run Snakemake as a user does, on simulated cohorts that the tests of a file share."""

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from starter import Starter

SMALL = {
    "data": {"source": "dicom", "dicom": "data/dicom"},
    "clinical": {
        "table": "data/clinical.csv",
        "columns": {
            "age": {"role": "baseline", "kind": "numeric", "range": [0, 120]},
            "sex": "baseline",
            "site": "baseline",
            "n_stage": "baseline",
            "dm": "outcome",
        },
        "sets": {"paper": ["age", "sex"], "staging": ["age", "sex", "n_stage"]},
    },
    "endpoints": {"dm": {"column": "dm"}},
    "organs": {"backend": "threshold"},
    "regions": {"spacing": 3.0},
    "radiomics": {"image_types": ["Original", "LoG"], "log_sigma": [3.0], "regions": ["tumor", "rings"]},
    "folds": {"k": 3},
    "stability": {"patients": 3, "perturbations": 2, "margin": 3.0},
    "harmonisation": {"method": "combat", "min_batch": 2},
    "selection": {"trees": 20, "keep": 4},
    "patches": {"size": 32, "spacing": 4.0},
    "deep": {
        "embed_dim": 12,
        "components": 3,
        "pretrain_epochs": 1,
        "epochs": 1,
        "warmup_epochs": 1,
        "threads": 1,
        "checkpoint_every": 1,
    },
    "fusion": {"clinical_set": "paper", "network": {"steps": 10, "ensemble": 1, "penalties": [0.5, 5.0]}},
    "explanation": {
        "background": 4,
        "permutations": 1,
        "maps": 2,
        "occlusion": {"cube": 40.0, "step": 40.0, "batch_size": 4},
    },
    "evaluation": {"strata": ["sex", "scanner"], "min_cell_events": 1, "bootstrap": 100},
    "controls": {"permutation": {"n": 3, "batch": 2, "trees": 10}},
}


@dataclass
class Run:
    """A finished Snakemake call."""

    code: int
    text: str
    folder: Path

    def table(self, path: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "results" / path)


@pytest.fixture(scope="session")
def without_network() -> list[str]:
    """Words before a command that runs it where there is no network; none where the system does not allow that."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    return []


@pytest.fixture(scope="session")
def starter(repository, tmp_path_factory) -> Iterator[Starter]:
    """The process that has imported Snakemake."""
    starter = Starter(repository, tmp_path_factory.mktemp("snakemake"))
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def snakemake(repository, starter) -> Callable[..., Run]:
    """Call `snakemake` of this environment in a working directory with a configuration.

    With another repository, an environment or words before the command, the call is a process of its own.
    """
    home = repository
    longest = 1800  # seconds: the whole run takes a quarter of an hour if the cores are shared

    def call(
        folder: Path,
        config: dict | None,
        *arguments: str,
        repository: Path = home,
        env: dict | None = None,
        within: Sequence[str] = (),
    ) -> Run:
        command = ["--cores", "2", "--directory", str(folder)]
        if config is not None:
            path = folder / "config-under-test.yaml"
            path.write_text(yaml.safe_dump(config))
            command += ["--configfile", str(path)]
        separator = [] if arguments[0].startswith("-") else ["--"]
        command += [*separator, *arguments]
        if repository == home and env is None and not within:
            return Run(*starter.run(command, longest), folder)
        done = subprocess.run(
            [*within, sys.executable, "-m", "snakemake", *command],
            cwd=repository,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=longest,
            check=False,
        )
        return Run(done.returncode, done.stdout, folder)

    return call


@pytest.fixture(scope="session")
def small() -> dict:
    """A configuration of the shared cohort in which every stage is real and small."""
    return copy.deepcopy(SMALL)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Write `data/dicom` and `data/clinical.csv` of eight simulated patients, half with DM, once per test file."""
    return simulated(tmp_path_factory.mktemp("cohort"), level="dicom")


@pytest.fixture(scope="module")
def unread(tmp_path_factory) -> Path:
    """The same without images, for plans and for jobs that read none: `data/dicom` is empty."""
    folder = simulated(tmp_path_factory.mktemp("unread"), level="table")
    (folder / "data/dicom").mkdir()
    return folder


def simulated(folder: Path, level: str) -> Path:
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    options = SimulationOptions(n=8, seed=11, level=level, matrix=64, coverage=96, draws=2000)
    simulate_cohort(folder / "data", options, jobs=2)
    table = folder / "data/clinical.csv"
    clinical = pd.read_csv(table, dtype=str)
    clinical["dm"] = [str(i % 2) for i in range(len(clinical))]
    clinical.to_csv(table, index=False)
    return folder
