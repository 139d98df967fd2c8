"""Find and remove the leftovers of a killed run: Snakemake's lock, possibly incomplete outputs, running jobs.

The information comes from Snakemake's own folder ``.snakemake`` (9.27): ``locks``; ``incomplete`` (one file per
output of every job that has begun and not ended); ``metadata`` (one file per output with the settings and inputs that
it was made from); and ``scripts`` (the files that running jobs execute). Snakemake writes these files in place, so a
file may be truncated.
"""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.running.owner import Owner, live_owner

if TYPE_CHECKING:
    import psutil

SCRIPTS = ".snakemake/scripts/"
PATIENCE = 10.0  # seconds to wait for a job to end by itself


@dataclass(frozen=True)
class Leftovers:
    """The leftovers of a killed run.

    Attributes
    ----------
    locked : bool
        Whether Snakemake's lock exists.
    outputs : list of Path
        Existing outputs of jobs that have begun and not ended, or with a truncated record.
    jobs : list of psutil.Process
        Jobs that are still running on this machine.
    cluster_jobs : list of str
        Ids of jobs that were submitted to a cluster and are not known to have ended.
    """

    locked: bool
    outputs: list[Path]
    jobs: list["psutil.Process"]
    cluster_jobs: list[str]

    def __bool__(self) -> bool:
        return self.locked or bool(self.outputs or self.jobs or self.cluster_jobs)


def find_leftovers(directory: str | Path) -> Leftovers:
    """List the leftovers in a folder in which no workflow is running; during a run these files are normal."""
    folder = Path(directory).resolve()
    locks = folder / ".snakemake/locks"
    markers = _markers(folder / ".snakemake/incomplete")
    ids = sorted({identifier for identifier in markers.values() if identifier})
    unsure = sorted({*markers, *_cut_short(folder / ".snakemake/metadata").values()})
    outputs = [path for name in unsure if (path := folder / name).exists()]
    return Leftovers(locks.is_dir() and any(locks.iterdir()), outputs, _jobs(folder), ids)


def _markers(folder: Path) -> dict[str, str]:
    """Return a dictionary from output to the id of its cluster job; the id is empty if it is absent or unreadable."""
    found = {}
    for path, output in _records(folder):
        try:
            found[output] = str(json.loads(path.read_text()).get("external_jobid") or "")
        except ValueError:
            found[output] = ""
    return found


def _cut_short(folder: Path) -> dict[Path, str]:
    """Return the records in `folder` that are not JSON, with their outputs; a power cut can also truncate records."""
    found = {}
    for path, output in _records(folder):
        try:
            json.loads(path.read_text())
        except ValueError:
            found[path] = output
    return found


def _records(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of `folder` with their outputs; file names are base64, and long ones are split into folders."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            with suppress(ValueError):  # not a record of an output
                yield path, base64.urlsafe_b64decode(name).decode()


def live_snakemake(directory: str | Path) -> Owner | None:
    """Return the process that runs Snakemake in a folder; None if there is none.

    This is the owner of the folder's lock, or else a Snakemake on this machine with this working directory.
    """
    owner = live_owner(directory)
    if owner is not None:
        return owner
    import socket
    from datetime import datetime

    for process, words in _working_in(Path(directory).resolve()):
        if _is_snakemake(words) and "--mode" not in words and process.pid != os.getpid():
            since = datetime.fromtimestamp(process.create_time()).isoformat(" ", "seconds")
            return Owner(socket.gethostname(), process.pid, since)
    return None


def _jobs(folder: Path) -> list["psutil.Process"]:
    """Return scripts, the shells around them, and Snakemake processes started for a job (``--mode``)."""
    found = []
    for process, words in _working_in(folder):
        is_script = Path(words[0]).name.startswith(("python", "bash", "sh")) and any(SCRIPTS in word for word in words)
        if is_script or (_is_snakemake(words) and "--mode" in words):
            found.append(process)
    return found


def _is_snakemake(words: list[str]) -> bool:
    """Return whether a command line is that of Snakemake: its own script, or ``python -m snakemake``."""
    return words[1:3] == ["-m", "snakemake"] or any(Path(word).name == "snakemake" for word in words[:2])


def _working_in(folder: Path) -> list[tuple["psutil.Process", list[str]]]:
    """Return the processes on this machine whose working directory is `folder`, with their command lines."""
    import psutil

    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        facts = process.info
        if facts["cwd"] == str(folder) and facts["cmdline"] and facts["status"] != psutil.STATUS_ZOMBIE:
            found.append((process, facts["cmdline"]))
    return found


def end_jobs(jobs: list["psutil.Process"]) -> None:
    """End jobs and their child processes; those that do not end by themselves are killed."""
    import psutil

    everything = set(jobs)
    for job in jobs:
        try:
            everything.update(job.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    for kill in (psutil.Process.terminate, psutil.Process.kill):
        for process in everything:
            try:
                kill(process)
            except psutil.NoSuchProcess:
                continue
        _, everything = psutil.wait_procs(everything, timeout=PATIENCE)


def unlock(directory: str | Path) -> None:
    """Remove Snakemake's lock; ``snakemake --unlock`` (9.27) would plan the whole workflow before it does the same."""
    shutil.rmtree(Path(directory) / ".snakemake/locks", ignore_errors=True)


def remove_interrupted(directory: str | Path) -> int:
    """Remove the outputs of interrupted jobs and the markers of these jobs, so that the outputs are made again.

    ``--rerun-incomplete`` does not see outputs behind a checkpoint (9.27), because Snakemake looks for incomplete
    outputs before it knows these jobs. Snakemake would keep such outputs without knowing from which settings and
    inputs they were made. The same is true for outputs whose record is truncated.

    Returns
    -------
    int
        Number of outputs that were removed.
    """
    outputs = find_leftovers(directory).outputs
    for output in outputs:
        if output.is_dir() and not output.is_symlink():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
    for record in _cut_short(Path(directory) / ".snakemake/metadata"):
        record.unlink()
    for marker in (Path(directory) / ".snakemake/incomplete").rglob("*"):
        if marker.is_file():
            marker.unlink()
    return len(outputs)
