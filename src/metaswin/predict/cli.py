"""``metaswin predict``: check the call, write the configuration, run the workflow."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command `predict`."""
    parser = commands.add_parser("predict", help="predict new patients by a bundle; for research only")
    parser.add_argument("--bundle", required=True, help="folder or zip that the rule bundle_model wrote")
    parser.add_argument("--input", help="folder with the DICOM files (or a sheet of NIfTI files, a table of features)")
    parser.add_argument("--clinical", help="clinical table of the new patients (CSV)")
    parser.add_argument("--output", required=True, help="folder for everything that is written")
    parser.add_argument("--member", help="REPEAT,FOLD: predict by the models of this fold alone")
    parser.add_argument("--settings", help="YAML with settings of your own place: ingest, clinical, devices, weights")
    parser.add_argument("--lenient", action="store_true", help="missing columns, unknown categories: missing values")
    parser.add_argument("--other-version", action="store_true", help="take a bundle of another version of metaswin")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores (default: 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict; returns the exit status."""
    from metaswin.bundle.load import read_bundle
    from metaswin.errors import several
    from metaswin.predict.check import check_call
    from metaswin.predict.config import merged, prediction_config
    from metaswin.predict.workflow import check_output, opened, run_workflow, told

    output = Path(arguments.output).resolve()
    check_output(output)
    bundle = read_bundle(opened(Path(arguments.bundle), output))
    local = read_settings(arguments.settings)
    clinical = merged(bundle.config, local)["clinical"]
    call = (bundle, arguments.input, arguments.clinical, arguments.member)
    messages = check_call(*call, clinical, arguments.lenient, arguments.other_version)
    if messages:
        raise several("Nothing was predicted:", messages)
    header = _header(arguments.clinical)
    config = prediction_config(
        bundle, arguments.input, arguments.clinical, header, member=arguments.member, local=local
    )
    run_workflow(config, output, arguments.cores)
    print(told(output))
    return 0


def _header(table: str | None) -> list[str]:
    from metaswin.clinical.table import read_header

    return read_header(table) if table else []


def read_settings(path: str | None) -> dict[str, Any]:
    """Settings of the file given with `--settings`; nothing without one."""
    from metaswin.config.read import read_config
    from metaswin.errors import UserError

    if path is None:
        return {}
    if not Path(path).is_file():
        raise UserError(f"--settings: no file {path} (looked from {Path.cwd()})")
    return read_config(path)
