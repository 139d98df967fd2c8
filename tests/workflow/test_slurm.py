"""The workflow on a real Slurm of one node: cancelled, killed for memory, its daemon dead; the same tables at last."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from slurm_node import SlurmNode, absent

pytestmark = pytest.mark.long

# No accounting here; and no minutes of waiting between looks at a queue of one.
FLAGS = [
    "--profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2", "--latency-wait", "5",
    "--max-threads", "2",
]  # fmt: skip
TARGETS = ["--", "radiomics"]


@pytest.fixture(scope="module")
def node():
    """The daemons, in a folder that munge may enter."""
    reason = absent()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="metaswin-slurm-"))
    folder.chmod(0o755)
    node = SlurmNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def config(small):
    return {**small, "deep": {"enabled": False}, "stability": {"enabled": False}, "harmonisation": {}, "evaluation": {}}


@pytest.fixture(scope="module")
def locally(snakemake, cohort, config, tmp_path_factory):
    """The same without a cluster: six of the shared cohort's patients."""
    folder = prepared(cohort, tmp_path_factory.mktemp("locally"))
    run = snakemake(folder, config, *TARGETS)
    assert run.code == 0, run.text
    return folder


def prepared(cohort: Path, folder: Path) -> Path:
    shutil.copytree(cohort / "data/dicom", folder / "data/dicom")
    table = pd.read_csv(cohort / "data/clinical.csv", dtype=str)
    table.head(6).to_csv(folder / "data/clinical.csv", index=False)
    return folder


def tables(folder: Path) -> dict[str, bytes]:
    """What the run has made, but how long it took."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file() and "benchmarks" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_run_on_slurm_when_jobs_are_cancelled_or_killed_then_it_goes_on_to_the_same_tables(
    snakemake, cohort, config, locally, node, tmp_path
):
    folder = prepared(cohort, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(snakemake, folder, config, *FLAGS, "--retries", "0", *TARGETS, env=node.environment)
        node.wait(lambda: "radiomics_extract_radiomics" in node.running().values(), 400)
        (job,) = [job for job, what in node.running().items() if what == "radiomics_extract_radiomics"]
        node.call("scancel", job)
        run = cancelled.result()
    assert run.code != 0
    assert not list((folder / "results").rglob(".part-*"))

    with ThreadPoolExecutor(1) as pool:
        # Less than Snakemake itself needs, then enough.
        memory = "collect_radiomics:mem_mb=60 * 32 ** (attempt - 1)"
        resumed = pool.submit(
            snakemake, folder, config, *FLAGS, "--set-resources", memory, *TARGETS, env=node.environment
        )
        node.wait(lambda: "radiomics_extract_radiomics" in node.running().values(), 200)
        node.kill_slurmd()
        node.start_slurmd()
        run = resumed.result()
    assert run.code == 0, run.text
    assert "Trying to restart job" in run.text
    assert "exceeded memory limit" in (node.folder / "slurmd.log").read_text()
    assert "convert_images" not in run.text.split("Select jobs to execute")[0]
    assert tables(folder) == tables(locally)
