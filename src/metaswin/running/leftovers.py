"""What a killed run leaves in its folder: Snakemake's lock, outputs that are not known to be whole, running jobs.

It is read from Snakemake's own folder ``.snakemake`` (9.27): ``locks``, ``incomplete`` (a file an output of every job
that has begun and not ended), ``metadata`` (a file an output: of which settings and inputs it is) and ``scripts`` (what
a running job executes). Snakemake writes these files in place, so that one may be cut short.
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
PATIENCE = 10.0  # seconds that a job has to end by itself


@dataclass(frozen=True)
class Leftovers:
    """What is left.

    Attributes
    ----------
    locked : bool
        Whether Snakemake's lock is there.
    outputs : list of Path
        Outputs that are there, of jobs that have begun and not ended, or with a record that is cut short.
    jobs : list of psutil.Process
        Jobs that still run on this machine.
    cluster_jobs : list of str
        Ids of jobs that were given to a cluster and are not known to have ended.
    """

    locked: bool
    outputs: list[Path]
    jobs: list["psutil.Process"]
    cluster_jobs: list[str]

    def __bool__(self) -> bool:
        return self.locked or bool(self.outputs or self.jobs or self.cluster_jobs)


def find_leftovers(directory: str | Path) -> Leftovers:
    """List the leftovers of a folder without a running workflow; during a run these files are normal."""
    folder = Path(directory).resolve()
    locks = folder / ".snakemake/locks"
    markers = _markers(folder / ".snakemake/incomplete")
    ids = sorted({identifier for identifier in markers.values() if identifier})
    unsure = sorted({*markers, *_cut_short(folder / ".snakemake/metadata").values()})
    outputs = [path for name in unsure if (path := folder / name).exists()]
    return Leftovers(locks.is_dir() and any(locks.iterdir()), outputs, _jobs(folder), ids)


def _markers(folder: Path) -> dict[str, str]:
    """Output → id of its cluster job, or an empty text; empty, too, where the marker is cut short."""
    found = {}
    for path, output in _records(folder):
        try:
            found[output] = str(json.loads(path.read_text()).get("external_jobid") or "")
        except ValueError:
            found[output] = ""
    return found


def _cut_short(folder: Path) -> dict[Path, str]:
    """Records in `folder` that are no JSON → their outputs. A power cut leaves them, too."""
    found = {}
    for path, output in _records(folder):
        try:
            json.loads(path.read_text())
        except ValueError:
            found[path] = output
    return found


def _records(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of `folder` with their outputs. Names are base64, cut into folders where they are long."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            with suppress(ValueError):  # another file
                yield path, base64.urlsafe_b64decode(name).decode()


def live_snakemake(directory: str | Path) -> Owner | None:
    """Who runs Snakemake in a folder: the owner of its lock, else a Snakemake of this machine that works there."""
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
    """Scripts, the shells around them, and Snakemakes that another one has started for a job (``--mode``)."""
    found = []
    for process, words in _working_in(folder):
        is_script = Path(words[0]).name.startswith(("python", "bash", "sh")) and any(SCRIPTS in word for word in words)
        if is_script or (_is_snakemake(words) and "--mode" in words):
            found.append(process)
    return found


def _is_snakemake(words: list[str]) -> bool:
    """Whether a command line is that of Snakemake: its own script, or ``python -m snakemake``."""
    return words[1:3] == ["-m", "snakemake"] or any(Path(word).name == "snakemake" for word in words[:2])


def _working_in(folder: Path) -> list[tuple["psutil.Process", list[str]]]:
    """Processes of this machine whose working directory is `folder`, with their command lines."""
    import psutil

    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        facts = process.info
        if facts["cwd"] == str(folder) and facts["cmdline"] and facts["status"] != psutil.STATUS_ZOMBIE:
            found.append((process, facts["cmdline"]))
    return found


def end_jobs(jobs: list["psutil.Process"]) -> None:
    """End jobs and what they have started; those that do not end by themselves are killed."""
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
    """Remove Snakemake's lock, as ``snakemake --unlock`` does it (9.27), which plans the whole workflow before."""
    shutil.rmtree(Path(directory) / ".snakemake/locks", ignore_errors=True)


def remove_interrupted(directory: str | Path) -> int:
    """Remove the outputs of interrupted jobs, so that they are made anew, and the markers of these jobs.

    ``--rerun-incomplete`` does not see outputs behind a checkpoint (9.27): Snakemake looks for them before it knows
    these jobs. It would keep such outputs without knowing of which settings and inputs they are, and so it does with
    those whose record is cut short.

    Returns
    -------
    int
        How many outputs there were.
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
