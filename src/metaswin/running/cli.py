"""Define the commands ``metaswin run``, ``init``, ``doctor``, ``status`` and ``view``."""

import argparse
from pathlib import Path

from metaswin.core.errors import UserError, suggestion
from metaswin.core.files import write_text
from metaswin.running.places import CONFIG, workflow_root

HEAD = """\
# Configuration of this folder. `metaswin run` reads it automatically; plain Snakemake needs `--configfile {name}`.
# It changes the defaults. `metaswin init --example all-settings` writes all of them, with an explanation of each.
# Relative paths start in this folder. Unknown keys are errors: `metaswin doctor` reports them with their line.
"""


def write_config(folder: Path, example: str) -> Path:
    """Write ``metaswin.yaml`` into `folder`, from an example of ``config/examples`` or with all settings.

    Raises
    ------
    UserError
        If the file already exists, or if there is no such example.
    """
    root = workflow_root() / "config"
    texts = {path.stem: path for path in sorted((root / "examples").glob("*.yaml"))} | {
        "all-settings": root / "config.yaml"
    }
    if example not in texts:
        raise UserError(f"--example: there is no {example!r}{suggestion(example, texts)}")
    path = folder / CONFIG
    if path.exists():
        raise UserError(f"{path} already exists; edit it, or choose another folder")
    text = texts[example].read_text(encoding="utf-8")
    write_text(path, text if example == "all-settings" else HEAD.format(name=CONFIG) + text)
    return path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the commands to the subcommands of ``metaswin``."""
    _add_run(commands)
    _add_init(commands)
    _add_doctor(commands)
    _add_status(commands)
    _add_view(commands)


def _add_run(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "run",
        help="run the workflow from any folder: `snakemake` with its Snakefile; also continues an interrupted run",
        prefix_chars="+",  # every argument that begins with - is passed on to Snakemake
        add_help=False,
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.running.launch import launch

        return launch(arguments.arguments)

    parser.set_defaults(run=run)


def _add_init(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("init", help=f"write a commented configuration, {CONFIG}, into a folder")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("."), help="default: the current folder")
    parser.add_argument(
        "--example", default="head-and-neck", help="which of config/examples (default: %(default)s), or `all-settings`"
    )

    def run(arguments: argparse.Namespace) -> int:

        path = write_config(arguments.folder, arguments.example)
        print(f"{path} written. Edit it (paths, columns, ROI names), then:")
        print(f"  metaswin doctor --directory {arguments.folder}")
        print(f"  metaswin run --directory {arguments.folder} --cores 8")
        return 0

    parser.set_defaults(run=run)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "doctor", help="check this machine, the configuration and the run; each line is ok, warning or error"
    )
    _add_places(parser)
    parser.add_argument("--profile", help="a Snakemake profile, such as that of a cluster")

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.running.doctor import examine

        lines = examine(arguments.directory, _configs(arguments), arguments.profile)
        print("\n".join(map(str, lines)))
        return int(any(line.state == "error" for line in lines))

    parser.set_defaults(run=run)


def _add_status(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "status", help="show the progress: patients in each stage, time left, failed jobs, models to refit"
    )
    _add_places(parser)
    parser.add_argument(
        "--plan",
        action="store_true",
        help="also show what a run would do now and why (a dry-run, up to half a minute)",
    )

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.running.progress import describe, results_of

        configs = _configs(arguments)
        print("\n".join(describe(arguments.directory, results_of(arguments.directory, configs))), flush=True)
        if arguments.plan:
            from metaswin.running.plan import plan

            given = ["--configfile", *map(str, configs)] if configs else []
            print("", *plan(arguments.directory, given), sep="\n")
        return 0

    parser.set_defaults(run=run)


def _add_view(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "view", help="look at CT, contours and organs of a run's patients in a browser, and record decisions on them"
    )
    _add_places(parser)
    parser.add_argument("--patient", metavar="ID", help="study id of the patient to open")
    parser.add_argument(
        "--results",
        action="store_true",
        help="show risk, outcome and occlusion map; decisions are recorded as made after the predictions were shown",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.running.viewer import serve
        from metaswin.running.viewer_data import ViewedRun

        serve(
            ViewedRun.of(arguments.directory, _configs(arguments), arguments.results), arguments.patient, arguments.port
        )
        return 0

    parser.set_defaults(run=run)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--directory", "-d", type=Path, default=Path("."), help="working directory of the run")
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        help=f"your configuration (default: {CONFIG} in the directory)",
    )


def _configs(arguments: argparse.Namespace) -> list[Path]:
    """Return the configuration files that the arguments name, or that of the directory."""
    own = arguments.directory / CONFIG
    return [path.absolute() for path in arguments.configfile or [own] * own.is_file()]
