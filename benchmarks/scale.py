"""A simulated cohort that grows through the workflow: what each step costs, and what Snakemake itself costs.

For each size the patients up to it join the cohort; the workflow then runs to the fused models, without deep features.
For every step: wall time, the jobs' own seconds (benchmark files), the processor time and memory of Snakemake's own
process, files and bytes written, a dry-run before (with these patients to do) and a run after it (with nothing to do).

    python benchmarks/scale.py --folder /tmp/scale --sizes 100 500 1500 --cores 2
    python benchmarks/scale.py --folder /tmp/scale-plain --sizes 50 --plain-scheduler
    python benchmarks/scale.py --folder /tmp/scale-full --sizes 12 --matrix 512 --coverage 160 --all-image-types

Overhead is wall time ÷ (the jobs' seconds ÷ cores). A job's seconds hold the start of its process; `starts` says how
much that is: the imports of each script, timed alone, times its jobs. A folder with a cohort in it is gone on with.
"""

import argparse
import ast
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
# Without what the scale of the cohort does not touch; folds that two cores share evenly.
SETTINGS = {
    "folds": {"k": 4},
    "deep": {"enabled": False},
    "anatomy": {"enabled": False},
    "stability": {"enabled": False},
    "controls": {"leaky": False, "shuffled": False, "permuted": False},
}
# Snakemake's own scheduling: its default limit, in other words so that the Snakefile keeps it, and every waiting job.
PLAIN = ("--max-jobs-per-timespan", "101/1s", "--scheduler-subsample", "1000000")
# Runs Snakemake and says what its own process took, its jobs not counted.
MEASURED = """
import atexit, json, resource, sys
def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(sys.argv[1], "w") as file:
        json.dump({"cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}, file)
atexit.register(tell)
from snakemake.cli import main
main(sys.argv[2:])
"""


class Cohort:
    """A simulated cohort, of which a growing part lies in the working directory."""

    def __init__(self, folder: Path, sizes: list[int], matrix: int, coverage: int, jobs: int) -> None:
        self.folder, self.source = folder, folder / "simulated"
        if not (self.source / "clinical.csv").is_file():
            command = ["simulate", "--out", str(self.source), "-n", str(max(sizes))]
            command += ["--matrix", str(matrix), "--coverage", str(coverage), "--draws", "2000", "--jobs", str(jobs)]
            program = Path(sys.executable).with_name("metaswin")
            subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL)
        self.clinical = pd.read_csv(self.source / "clinical.csv", dtype=str)
        self.folders = {_patient_of(path): path for path in sorted((self.source / "dicom").iterdir())}

    def grow(self, size: int) -> None:
        """Let the first `size` patients lie in ``run/data``."""
        data = self.folder / "run" / "data"
        (data / "dicom").mkdir(parents=True, exist_ok=True)
        patients = self.clinical.head(size)
        for patient in patients["patient_id"]:
            link = data / "dicom" / self.folders[patient].name
            if not link.is_symlink():
                link.symlink_to(self.folders[patient].resolve())
        patients.to_csv(data / "clinical.csv", index=False, quoting=csv.QUOTE_MINIMAL)


def _patient_of(folder: Path) -> str:
    import pydicom

    first = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    return str(pydicom.dcmread(first, stop_before_pixels=True).PatientID)


class Workflow:
    """The workflow in ``run``, called as a user calls it."""

    def __init__(self, folder: Path, cores: int, all_image_types: bool, scheduling: Sequence[str]) -> None:
        self.run_folder, self.cores, self.facts = folder / "run", cores, folder / "snakemake.json"
        self.scheduling = scheduling
        settings = SETTINGS if all_image_types else {**SETTINGS, "radiomics": {"image_types": ["Original"]}}
        self.config = folder / "scale.yaml"
        self.config.write_text(yaml.safe_dump(settings))

    def call(self, target: str, *options: str) -> dict[str, float]:
        """Wall seconds, and processor seconds and MB of Snakemake's own process."""
        command = [sys.executable, "-c", MEASURED, str(self.facts), "--snakefile", str(ROOT / "Snakefile")]
        command += ["--cores", str(self.cores), "--directory", str(self.run_folder), "--quiet", "all", *self.scheduling]
        command += ["--configfile", str(ROOT / "config" / "demo.yaml"), str(self.config), *options, "--", target]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return {"wall": time.perf_counter() - begin, **json.loads(self.facts.read_text())}

    def jobs_since(self, begin: float) -> dict[str, list[float]]:
        """Seconds of every job that ended after `begin`, by rule."""
        seconds: dict[str, list[float]] = {}
        folder = self.run_folder / "results" / "benchmarks"
        for path in folder.rglob("*.tsv"):
            if path.stat().st_mtime >= begin:
                rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
                seconds.setdefault(rule, []).append(float(pd.read_csv(path, sep="\t")["s"].iloc[0]))
        return seconds

    def files(self) -> tuple[int, float]:
        """Number and MB of everything written, Snakemake's own records included."""
        sizes = [
            os.lstat(os.path.join(folder, name)).st_size
            for folder, _, names in os.walk(self.run_folder)
            for name in names
            if "/data" not in folder
        ]
        return len(sizes), sum(sizes) / 2**20


def start_seconds(rule: str) -> float:
    """Time of a process that imports what the rule's script imports at its top, and what Snakemake puts before it."""
    [path] = (ROOT / "workflow" / "scripts").glob(f"*/{rule}.py")
    script = path.read_text()
    lines = [ast.unparse(node) for node in ast.parse(script).body if isinstance(node, ast.Import | ast.ImportFrom)]
    command = [sys.executable, "-c", "\n".join(["import snakemake.script", *lines])]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, check=True)
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 1500])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--matrix", type=int, default=64)
    parser.add_argument("--coverage", type=int, default=96)
    parser.add_argument("--all-image-types", action="store_true")
    parser.add_argument("--plain-scheduler", action="store_true", help="Snakemake's scheduling as it comes")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    cohort = Cohort(options.folder, options.sizes, options.matrix, options.coverage, options.cores)
    workflow = Workflow(
        options.folder, options.cores, options.all_image_types, PLAIN if options.plain_scheduler else ()
    )
    starts: dict[str, float] = {}
    before = 0
    for size in options.sizes:
        cohort.grow(size)
        begin = time.time()
        ingest = workflow.call("results/cohort/patients.parquet")
        dry = workflow.call("fusion", "--dry-run")
        run = workflow.call("fusion")
        jobs = workflow.jobs_since(begin)
        again = workflow.call("fusion")
        starts |= {rule: start_seconds(rule) for rule in jobs if rule not in starts}
        report(size, size - before, options.cores, ingest, dry, run, again, jobs, starts, workflow.files())
        before = size


def report(
    size: int,
    joined: int,
    cores: int,
    ingest: dict[str, float],
    dry: dict[str, float],
    run: dict[str, float],
    again: dict[str, float],
    jobs: dict[str, list[float]],
    starts: dict[str, float],
    files: tuple[int, float],
) -> None:
    """Print one step."""
    wall = ingest["wall"] + run["wall"]
    seconds = sum(map(sum, jobs.values()))
    starting = sum(len(times) * starts[rule] for rule, times in jobs.items())
    print(f"\n{size} patients, {joined} of them new, {cores} cores")
    print(f"  wall {wall:.0f} s (index and cohort {ingest['wall']:.0f} s); {wall / joined:.2f} s a new patient")
    print(f"  jobs {sum(map(len, jobs.values()))}, {seconds:.0f} s; of it starts {starting:.0f} s")
    print(f"  overhead {wall * cores / seconds:.3f}; starts not counted {wall * cores / (seconds - starting):.2f}")
    print(f"  Snakemake {run['cpu']:.0f} s of processor time, {run['mb']:.0f} MB")
    print(f"  dry-run before {dry['wall']:.1f} s, nothing to do after {again['wall']:.1f} s")
    print(f"  {files[0]} files, {files[1]:.0f} MB")
    for rule, times in sorted(jobs.items(), key=lambda item: -sum(item[1]))[:8]:
        print(f"    {rule:22} {len(times):6} jobs {sum(times):8.0f} s {sum(times) / len(times):7.2f} s each")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
