"""Run ``metaswin predict``: check the call, write the configuration and run the workflow."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaswin.core.errors import UserError, several
from metaswin.core.files import read_table, write_text
from metaswin.prediction.bundle import unpack

CONFIG = "predict.yaml"
SETTINGS = "settings.yaml"
LOG = "logs/snakemake.log"
# `metaswin run` replaces its process by Snakemake. Therefore it needs a separate process.
METASWIN = "import sys; from metaswin.cli import main; sys.exit(main())"


def check_output(output: Path) -> None:
    """Check that a prediction may be written into `output`.

    Raises
    ------
    UserError
        If `output` contains the results of another run, because the stages write files with the same names.
    """
    if (output / "results").exists() and not (output / CONFIG).is_file():
        raise UserError(
            f"--output: {output} contains the results of another run, which would be overwritten; name a new folder"
        )


def opened(bundle: Path, output: Path) -> Path:
    """Return the folder of a bundle; a zip is unpacked in `output`."""
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
        If it ends with an error. The message contains the errors of the jobs and the path of the log.
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
        raise several("The prediction failed:", [*_said(output), f"complete log: {log}"])


def summary_of(output: Path) -> str:
    """Summarise the predictions in a few lines."""
    folder = output / "results/predictions"
    table = read_table(folder / "predictions.parquet")
    lines = []
    left: dict[tuple[str, str], list[str]] = {}
    for row in table.itertuples():
        if row.why:
            left.setdefault((row.endpoint, row.why), []).append(row.patient)
            continue
        spread = "" if row.members == 1 else f", range across fold models {row.range_low:.3f} to {row.range_high:.3f}"
        group = f", group {row.group}" if isinstance(row.group, str) else ""
        warned = f"  ! {row.warnings}" if row.warnings else ""
        lines.append(f"{row.patient}  {row.endpoint}  risk {row.risk:.3f}{spread}{group}{warned}")
    lines += [f"not predicted, {endpoint}: {', '.join(who)}: {why}" for (endpoint, why), who in left.items()]
    lines.append(f"For research only; not a medical device. Tables and one page per patient: {folder}")
    return "\n".join(lines)


def _said(output: Path) -> list[str]:
    """Return the messages of the jobs that failed, or the last lines of Snakemake's log if there are none."""
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


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command `predict`."""
    parser = commands.add_parser("predict", help="predict new patients with a bundle; for research only")
    parser.add_argument("--bundle", required=True, help="folder or zip that the rule bundle_model wrote")
    parser.add_argument("--input", help="folder with the DICOM files (or a sheet of NIfTI files, a table of features)")
    parser.add_argument("--clinical", help="clinical table of the new patients (CSV)")
    parser.add_argument("--output", required=True, help="folder for all output")
    parser.add_argument("--member", help="REPEAT,FOLD: predict only with the models of this fold")
    parser.add_argument("--settings", help="YAML file with local settings: ingest, clinical, devices, weights")
    parser.add_argument(
        "--lenient", action="store_true", help="treat missing columns and unknown categories as missing values"
    )
    parser.add_argument("--other-version", action="store_true", help="accept a bundle of another version of metaswin")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores (default: 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict and return the exit status."""
    import yaml

    from metaswin.prediction.bundle import read_bundle
    from metaswin.prediction.call import check_call, clinical_of, outcome_settings, prediction_config

    output = Path(arguments.output).resolve()
    check_output(output)
    bundle = read_bundle(opened(Path(arguments.bundle), output))
    local = read_settings(arguments.settings)
    header = _header(arguments.clinical)
    clinical = clinical_of(bundle.config, local, header)
    outcome_settings({name: facts["settings"] for name, facts in bundle.endpoints.items()}, local)
    call = (bundle, arguments.input, arguments.clinical, arguments.member)
    embedding = local.get("embedding") or {}
    messages = check_call(*call, clinical, arguments.lenient, arguments.other_version, embedding)
    if messages:
        raise several("Nothing was predicted:", messages)
    config = prediction_config(
        bundle, arguments.input, arguments.clinical, header, member=arguments.member, local=local
    )
    run_workflow(config, output, arguments.cores)
    # `metaswin validate` reads the same table with the same settings.
    write_text(output / SETTINGS, yaml.safe_dump(local, sort_keys=False, allow_unicode=True))
    print(summary_of(output))
    return 0


def _header(table: str | None) -> list[str]:
    """Return the columns of the clinical table; empty if it cannot be read, which `check_call` reports."""
    from metaswin.cohort.clinical_table import read_header

    try:
        return read_header(table) if table else []
    except UserError:
        return []


def read_settings(path: str | None) -> dict[str, Any]:
    """Read the settings of the file given with `--settings`; empty without a file."""
    from metaswin.config.read import read_config

    if path is None:
        return {}
    if not Path(path).is_file():
        raise UserError(f"--settings: no file {path} (looked from {Path.cwd()})")
    return read_config(path)
