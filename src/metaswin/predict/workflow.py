"""Run the same workflow on the new patients, and tell what came of it."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaswin.bundle.manifest import unpack
from metaswin.errors import UserError, several
from metaswin.files import read_table, write_text

CONFIG = "predict.yaml"
LOG = "logs/snakemake.log"
# `metaswin run` becomes Snakemake: a process of its own.
METASWIN = "import sys; from metaswin.cli import main; sys.exit(main())"


def check_output(output: Path) -> None:
    """Look whether a prediction may be written into `output`.

    Raises
    ------
    UserError
        If another run has its results there: the stages write files of the same names.
    """
    if (output / "results").exists() and not (output / CONFIG).is_file():
        raise UserError(f"--output: {output} holds the results of another run, which would be lost; name a new folder")


def opened(bundle: Path, output: Path) -> Path:
    """Folder of a bundle; a zip is unpacked below `output`."""
    if not bundle.exists():
        raise UserError(f"--bundle: no folder or zip {bundle} (looked from {Path.cwd()})")
    if bundle.is_dir():
        return bundle
    folder = output / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    unpack(bundle, folder)
    return folder


def run_workflow(config: Mapping[str, Any], output: Path, cores: int) -> None:
    """Run the workflow with the target `predict` in `output`, as `metaswin run` does.

    Raises
    ------
    UserError
        If it ends with an error: what the jobs said, and where the log lies.
    """
    import yaml

    write_text(output / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    log = output / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-c", METASWIN, "run", "--directory", str(output), "--cores", str(cores),
        "--configfile", str(output / CONFIG), "--", "predict",
    ]  # fmt: skip
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise several("The prediction failed:", [*_said(output), f"the whole log: {log}"])


def told(output: Path) -> str:
    """What was predicted, in a few lines."""
    folder = output / "results/predictions"
    table = read_table(folder / "predictions.parquet")
    lines, left = [], {}
    for row in table.itertuples():
        if row.why:
            left.setdefault((row.endpoint, row.why), []).append(row.patient)
            continue
        spread = "" if row.members == 1 else f", spread between models {row.spread_low:.3f} to {row.spread_high:.3f}"
        group = f", group {row.group}" if isinstance(row.group, str) else ""
        warned = f"  ! {row.warnings}" if row.warnings else ""
        lines.append(f"{row.patient}  {row.endpoint}  risk {row.risk:.3f}{spread}{group}{warned}")
    lines += [f"not predicted, {endpoint}: {', '.join(who)}: {why}" for (endpoint, why), who in left.items()]
    lines.append(f"For research; not a medical device. Tables and a page a patient: {folder}")
    return "\n".join(lines)


def _said(output: Path) -> list[str]:
    """The messages of the jobs that failed; of Snakemake itself where there are none."""
    started = (output / CONFIG).stat().st_mtime
    found: dict[str, None] = {}
    for path in sorted((output / "logs").rglob("*.log")):
        if path.stat().st_mtime >= started and path != output / LOG:
            text = path.read_text(encoding="utf-8", errors="replace")
            message = text.partition(" ERROR ")[2].strip()
            if message.startswith("the job failed"):
                message = f"{message.splitlines()[0]}: {path}"
            if message:
                found[message] = None
    if found:
        return list(found)
    lines = (output / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-15:]
