"""``metaswin validate``: the external validation of a finished prediction."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command `validate`."""
    parser = commands.add_parser("validate", help="compare predictions of `metaswin predict` with known outcomes")
    parser.add_argument("--output", required=True, help="folder that `metaswin predict` wrote")
    parser.add_argument("--outcomes", help="table with the outcome columns (default: the table of the prediction)")
    parser.add_argument("--settings", help="YAML with settings of your own place, as for `metaswin predict`")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Validate; returns the exit status."""
    from metaswin.cohort.pseudonyms import pseudonym_places, read_pseudonyms
    from metaswin.config.cohort import DataSettings
    from metaswin.config.read import read_config
    from metaswin.core.errors import UserError
    from metaswin.prediction.bundle import read_bundle
    from metaswin.prediction.call import merged
    from metaswin.prediction.cli import CONFIG, read_settings
    from metaswin.prediction.validate import validate

    output = Path(arguments.output).resolve()
    if not (output / CONFIG).is_file():
        raise UserError(f"--output: {output} has no {CONFIG}; give the folder that `metaswin predict` wrote")
    config = read_config(output / CONFIG)
    settings = config["predict"]
    outcomes = arguments.outcomes or settings["clinical"]
    if outcomes is None:
        raise UserError("--outcomes is not given, and the prediction had no clinical table; give the table of outcomes")
    bundle = read_bundle(settings["bundle"])
    clinical = merged(bundle.config, read_settings(arguments.settings))["clinical"]
    names = read_pseudonyms(pseudonym_places(DataSettings(**config["data"]), str(output / "private")))
    print(f"External validation: {validate(bundle, output, Path(outcomes), clinical, names.of)}")
    return 0
