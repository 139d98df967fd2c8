"""Check everything that a run needs (``metaswin doctor``) and report one line per check: ok, warning or error."""

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.core.errors import UserError
from metaswin.running.leftovers import find_leftovers, live_snakemake
from metaswin.running.owner import last_owner
from metaswin.running.places import cache_problem, workflow_root

if TYPE_CHECKING:
    from metaswin.config.model import Config

OLDEST = (3, 11)
LEAST_DISK = 5e9  # bytes
LEAST_MEMORY = {"totalsegmentator": 12e9, "": 4e9}  # bytes: memory that the largest rule requests


@dataclass(frozen=True)
class Line:
    """Result of one check; `state` is ``ok``, ``warning`` or ``error``."""

    state: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<7} {self.what:<9} {self.text}"


def examine(directory: Path, configs: Sequence[Path], profile: str | None = None) -> list[Line]:
    """Check the machine, the configuration and the run in `directory` without changing anything.

    Parameters
    ----------
    directory : Path
        Working directory of the run; it need not exist yet.
    configs : sequence of Path
        The user's configuration files; later ones override earlier ones.
    profile : str, optional
        Folder of a Snakemake profile.
    """
    config, problems = _config(directory, configs)
    cache = [Line("error", "cache", problem)] if (problem := cache_problem()) else []
    lines = [_python(), *_packages(), _gpu(config), _disk(directory), *cache, _memory(config), *problems]
    if config is not None:
        lines += _data(config, directory)
    if profile is not None:
        lines += _profile(Path(profile))
    return [*lines, *_run(directory)]


def _python() -> Line:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        return Line("error", "python", f"{version}; metaswin needs {'.'.join(map(str, OLDEST))} or newer")
    return Line("ok", "python", f"{version}, {sys.executable}")


def _packages() -> Iterator[Line]:
    try:
        lock = workflow_root() / "requirements.txt"
    except UserError as error:
        yield Line("error", "workflow", str(error))
        return
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    needed = {
        _plain(re.split(r"[\s<>=!~;\[]", line)[0])
        for line in metadata.requires("metaswin") or []
        if not re.search("extra == .dev", line)
    }
    wrong = []
    for name, pinned in pins.items():
        try:
            found = metadata.version(name).split("+")[0]
        except metadata.PackageNotFoundError:
            found = "absent"
        if found != pinned and (found != "absent" or _plain(name) in needed):
            wrong.append(f"{name} {found}, not {pinned}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        yield Line("error", "packages", f"{'; '.join(wrong[:3])}{more}: pip install -r {lock}")
    else:
        yield Line("ok", "packages", f"as {lock}")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _gpu(config: "Config | None") -> Line:
    import torch

    if torch.cuda.is_available():
        return Line("ok", "gpu", f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}")
    asked = []
    if config is not None:
        settings = {
            "deep.device": config.deep.device,
            "organs.totalsegmentator.device": config.organs.totalsegmentator.device,
        }
        asked = [name for name, device in settings.items() if device == "cuda"]
    if asked:
        return Line(
            "error", "gpu", f"{' and '.join(asked)} require cuda, but torch finds no GPU: set them to auto or cpu"
        )
    if shutil.which("nvidia-smi"):
        return Line(
            "warning", "gpu", f"nvidia-smi exists, but torch {torch.__version__} finds no GPU: install its CUDA build"
        )
    return Line("ok", "gpu", "none found: networks run on the CPU")


def _disk(directory: Path) -> Line:
    there = next(folder for folder in (directory.absolute(), *directory.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free in {there}"
    if free < LEAST_DISK:
        return Line("error", "disk", f"{text}; a run needs at least {LEAST_DISK / 1e9:.0f} GB: free some space")
    return Line("ok", "disk", text)


def _memory(config: "Config | None") -> Line:
    import psutil

    free = psutil.virtual_memory().available
    backend = config.organs.backend if config is not None and config.data.source in ("dicom", "nifti") else ""
    least = LEAST_MEMORY.get(backend, LEAST_MEMORY[""])
    text = f"{free / 1e9:.1f} GB available"
    if free < least:
        return Line("error", "memory", f"{text}; the largest job needs {least / 1e9:.0f} GB: end other programs")
    return Line("ok", "memory", text)


def _config(directory: Path, paths: Sequence[Path]) -> tuple["Config | None", list[Line]]:
    """Return the configuration without checking its data, and the lines about it; None if it has errors."""
    from metaswin.config.load import load
    from metaswin.config.read import read_configs, with_lines

    if not paths:
        return None, [
            Line(
                "error",
                "config",
                f"none in {directory}: write one with `metaswin init {directory}`, or name one with --configfile",
            )
        ]
    names = " ".join(map(str, paths))
    try:
        config = load(read_configs([workflow_root() / "config/config.yaml", *paths]))
    except UserError as error:
        messages = str(error).split("\n  - ")
        found = [with_lines(message, paths) for message in messages[1:]] or messages
        return None, [Line("error", "config", message) for message in found]
    return config, [Line("ok", "config", names)]


def _data(config: "Config", directory: Path) -> list[Line]:
    """Check what the configuration names: data and clinical table, then organ weights."""
    from metaswin.imaging.weights import missing_weights, required
    from metaswin.running.input_files import check_files

    wanted = config.data.source in ("dicom", "nifti") and config.organs.backend == "totalsegmentator"
    settings = config.organs.totalsegmentator
    with chdir(directory if directory.is_dir() else "."):
        absent = missing_weights(settings) if wanted else []
        messages = [message for message in check_files(config) if message not in absent]
        models = len(required(settings)) if wanted else 0
    lines = [Line("error", "data", message) for message in messages]
    lines = lines or [Line("ok", "data", f"{config.data.source}, with the columns that the configuration names")]
    lines += [Line("error", "weights", message) for message in absent]
    if not absent:
        lines.append(Line("ok", "weights", f"{models} models in {settings.weights}" if wanted else "none needed"))
    return lines


def _profile(profile: Path) -> Iterator[Line]:
    from metaswin.config.read import read_config

    files = [path for path in (profile / "profile.yaml", profile / "config.yaml", profile) if path.is_file()]
    if not files:
        yield Line("error", "profile", f"no profile.yaml in {profile}; give the folder that contains it")
        return
    try:
        executor = read_config(files[0]).get("executor", "local")
    except UserError as error:
        yield Line("error", "profile", str(error))
        return
    module = f"snakemake_executor_plugin_{str(executor).replace('-', '_')}"
    if executor != "local" and importlib.util.find_spec(module) is None:
        yield Line("error", "profile", f"{files[0]}: executor {executor} needs pip install {module.replace('_', '-')}")
    elif executor == "slurm" and shutil.which("sbatch") is None:
        yield Line(
            "error", "profile", f"{files[0]}: executor slurm, but the command sbatch is missing: run on a submit node"
        )
    else:
        yield Line("ok", "profile", f"{files[0]}: executor {executor}")


def _run(directory: Path) -> Iterator[Line]:
    """Report an active run in the folder, or the leftovers of a killed one."""
    owner = live_snakemake(directory)
    if owner is not None:
        yield Line("ok", "run", f"in use: {owner} runs the workflow here")
        return
    left = find_leftovers(directory)
    if not left:
        yield Line("ok", "run", "no active or interrupted run")
        return
    parts = ["Snakemake's lock"] if left.locked else []
    parts += [f"{len(left.outputs)} outputs of interrupted jobs"] if left.outputs else []
    parts += [f"{len(left.jobs)} processes of its jobs: {' '.join(str(p.pid) for p in left.jobs)}"] if left.jobs else []
    parts += [f"cluster jobs {' '.join(left.cluster_jobs)}"] if left.cluster_jobs else []
    who = last_owner(directory) or "without a record of its owner"
    yield Line(
        "error", "run", f"a killed run ({who}) left {', '.join(parts)}: `metaswin run` removes them and continues; "
        "with plain snakemake, end these jobs first, then use --unlock, then --rerun-incomplete",
    )  # fmt: skip
