"""The workflow on a real Slurm of one node: cancelled, killed for memory, its daemon dead; the same tables at last."""

import re
import shutil
import subprocess
import sys
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


def test_run_on_slurm_when_jobs_are_cancelled_or_killed_then_it_ends_in_same_tables(
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


GPU_SNAKEFILE = """
rule all:
    input: "train_deep.txt", "convert_images.txt"
rule train_deep:
    output: "train_deep.txt"
    resources: gpu=1
    shell: "scontrol show job $SLURM_JOB_ID > {output}"
rule extract_deep_features:
    output: "extract_deep_features.txt"
    shell: "touch {output}"
rule predict_organs:
    output: "predict_organs.txt"
    shell: "touch {output}"
rule convert_images:
    output: "convert_images.txt"
    resources: gpu=0
    shell: "scontrol show job $SLURM_JOB_ID > {output}"
"""


@pytest.mark.parametrize(
    ("by", "asked", "partition"), [("gpu", "TresPerJob=gres:gpu:1", "test"), ("gres", "TresPerNode=gres:gpu:1", "gpu")]
)
def test_gpu_when_asked_of_slurm_in_either_way_then_the_job_has_it_and_others_do_not(
    repository, node, tmp_path, by, asked, partition
):
    profile = (repository / "profiles/slurm/profile.yaml").read_text()
    if by == "gres":
        block = re.search(r"^# set-resources:\n(?:#   .*\n)+", profile, re.MULTILINE)[0]
        profile = profile.replace(block, block.replace("# ", "", 1).replace("#   ", "  "))
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/profile.yaml").write_text(profile)
    (tmp_path / "Snakefile").write_text(GPU_SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", *FLAGS, "--snakefile", tmp_path / "Snakefile"]
    command[command.index("profiles/slurm")] = tmp_path / "profile"
    done = subprocess.run(
        [*command, "--directory", tmp_path], cwd=tmp_path, env=node.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    job = (tmp_path / "train_deep.txt").read_text()
    assert asked in job
    assert f"Partition={partition}\n" in job or f"Partition={partition} " in job
    assert "gres" not in (tmp_path / "convert_images.txt").read_text()
