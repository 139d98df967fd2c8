"""``metaswin weights``: list, fetch, verify and check the weights that a configuration needs."""

import argparse
import os
from pathlib import Path

from metaswin.errors import UserError
from metaswin.organs.settings import TotalSegmentatorSettings
from metaswin.organs.weights import fetch, required, verify


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``weights`` to the subcommands of `metaswin`."""
    parser = commands.add_parser(
        "weights", help="TotalSegmentator's weights for a configuration: list, fetch, verify, check"
    )
    parser.add_argument(
        "action",
        choices=("list", "fetch", "verify", "check"),
        help="verify opens every checkpoint; check draws the organs of --ct and compares volumes with published ranges",
    )
    parser.add_argument("--ct", help="with check: a CT of a head and neck, such as NIfTI")
    parser.add_argument("--configfile", help="your configuration (default: the defaults)")
    parser.add_argument("--directory", default=".", help="working directory of the run (default: here)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.action == "check" and arguments.ct is None:
        raise UserError(
            "metaswin weights check needs --ct: a CT of a head and neck (NIfTI or another format of SimpleITK)"
        )
    ct = None if arguments.ct is None else Path(arguments.ct).absolute()
    os.chdir(arguments.directory)
    if arguments.action == "fetch":
        fetch(settings)
    if ct is not None:
        from metaswin.organs.plausible import check

        print("Volumes (wrong ones: look at the image's units and orientation, then at the weights)")
        print("\n".join(check(ct, settings)))
        return 0
    found = required(settings)
    print(f"Tasks {', '.join(settings.tasks)}{' (fast)' if settings.fast else ''}; folder {settings.weights}")
    problems = []
    for weights in found:
        problem = weights.problem or (verify(weights) if arguments.action != "list" else "")
        problems.append(problem)
        print(f"  {weights.model.folder:<56}{weights.size / 1e6:8.1f} MB  {problem or 'ok'}")
    return int(any(problems) and arguments.action != "list")


def _settings(arguments: argparse.Namespace) -> TotalSegmentatorSettings:
    from pydantic import ValidationError

    from metaswin.config.read import read_config

    if arguments.configfile is None:
        return TotalSegmentatorSettings()
    raw = read_config(arguments.configfile)
    section = (raw.get("organs") or {}).get("totalsegmentator") or {}
    try:
        return TotalSegmentatorSettings(**section)
    except (ValidationError, TypeError) as error:
        raise UserError(f"organs.totalsegmentator in {arguments.configfile}: {error}") from None
