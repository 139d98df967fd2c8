"""Run ``metaswin validate``, the external validation of predictions for one cohort or pooled over several."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.core.errors import UserError, several

if TYPE_CHECKING:
    from metaswin.prediction.bundle import Bundle


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command `validate`."""
    parser = commands.add_parser("validate", help="compare predictions of `metaswin predict` with known outcomes")
    parser.add_argument(
        "--output", required=True, nargs="+", help="folder that `metaswin predict` wrote; one for each cohort"
    )
    parser.add_argument(
        "--outcomes", nargs="+", help="table with the outcomes of each cohort (default: the table of the prediction)"
    )
    parser.add_argument(
        "--settings", nargs="+", help="YAML file with local settings of each cohort (default: those of the prediction)"
    )
    parser.add_argument("--pooled", help="folder for the page of several cohorts with pooled AUC and calibration")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Validate and return the exit status."""
    from metaswin.prediction.pooling import cohort_names, pool_cohorts

    outputs = [Path(output).resolve() for output in arguments.output]
    _check(arguments, outputs)
    nothing = [None] * len(outputs)
    found = [
        _validate(output, outcomes, settings)
        for output, outcomes, settings in zip(
            outputs, arguments.outcomes or nothing, arguments.settings or nothing, strict=True
        )
    ]
    if arguments.pooled is None:
        return 0
    different = [
        f"{output}: bundle {bundle.fingerprint[:16]}" for output, bundle in zip(outputs, found, strict=True)
        if bundle.fingerprint != found[0].fingerprint
    ]  # fmt: skip
    if different:
        first = f"{outputs[0]}: bundle {found[0].fingerprint[:16]}"
        remedy = "predict all cohorts with the same bundle, because different models cannot be pooled"
        raise several("Nothing was pooled: the predictions are of different bundles", [first, *different, remedy])
    page = pool_cohorts(
        found[0], dict(zip(cohort_names(outputs), outputs, strict=True)), Path(arguments.pooled).resolve()
    )
    print(f"Pooled over {len(outputs)} cohorts: {page}")
    return 0


def _check(arguments: argparse.Namespace, outputs: list[Path]) -> None:
    from metaswin.prediction.cli import CONFIG

    messages = [
        f"--output: {output} has no {CONFIG}; give the folder that `metaswin predict` wrote"
        for output in outputs
        if not (output / CONFIG).is_file()
    ]
    messages += [f"--output: {output} is given more than once; give each cohort once" for output in
                 sorted({output for output in outputs if outputs.count(output) > 1})]  # fmt: skip
    for option in ("outcomes", "settings"):
        given = getattr(arguments, option)
        if given is not None and len(given) != len(outputs):
            messages.append(
                f"--{option}: found {len(given)} for {len(outputs)} folders of --output; give one for each, in their "
                "order, or none"
            )
    if (arguments.pooled is not None) != (len(outputs) > 1):
        messages.append(
            "--pooled: name a folder for the page of all cohorts"
            if len(outputs) > 1
            else "--pooled: pooling needs two or more folders in --output; found 1"
        )
    if messages:
        raise several("Nothing was validated:", messages)


def _validate(output: Path, outcomes: str | None, settings: str | None) -> "Bundle":
    """Validate one cohort and return the bundle that predicted it."""
    from metaswin.cohort.pseudonyms import pseudonym_places, read_pseudonyms
    from metaswin.config.cohort import DataSettings
    from metaswin.config.read import read_config
    from metaswin.prediction.bundle import read_bundle
    from metaswin.prediction.cli import CONFIG, SETTINGS, read_settings
    from metaswin.prediction.validate import validate

    config = read_config(output / CONFIG)
    outcomes = outcomes or config["predict"]["clinical"]
    if outcomes is None:
        raise UserError(
            f"--outcomes is not given, and the prediction in {output} had no clinical table; give the table of outcomes"
        )
    bundle = read_bundle(config["predict"]["bundle"])
    kept = output / SETTINGS
    local = read_settings(settings) if settings is not None else read_config(kept) if kept.is_file() else {}
    names = read_pseudonyms(pseudonym_places(DataSettings(**config["data"]), str(output / "private")))
    print(f"External validation: {validate(bundle, output, Path(outcomes), local, names.of)}")
    return bundle
