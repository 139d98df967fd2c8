"""The command line of metaswin; each command is defined in the package that it belongs to."""

import argparse
import importlib.util
import sys

from metaswin import __version__
from metaswin.core.errors import UserError

WITHOUT_EXTRA = {"radiomics"}  # the commands that `pip install metaswin` is enough for
# What the extra `workflow` brings, by the names under which it is imported; without the plug-ins of these packages.
EXTRA = (
    "torch",
    "monai",
    "snakemake",
    "sklearn",
    "totalsegmentator",
    "nnunetv2",
    "dynamic_network_architectures",
    "einops",
    "radiomics",
    "nibabel",
    "pydicom",
    "gdcm",
    "highdicom",
    "matplotlib",
    "PIL",
    "lifelines",
    "jinja2",
    "safetensors",
    "psutil",
    "rich",
    "rocrate",
    "pulp",
    "dicomweb_client",
    "requests",
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the documentation lists the commands from it."""
    parser = argparse.ArgumentParser(prog="metaswin", description=__doc__)
    parser.add_argument("--version", action="version", version=f"metaswin {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_radiomics(commands)
    _add_simulate(commands)
    _add_weights(commands)
    _add_dicomweb(commands)
    _add_predict(commands)
    _add_problems(commands)
    _add_schema(commands)
    _add_running(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    if arguments.command not in WITHOUT_EXTRA and (absent := _absent()):
        named = f"{', '.join(absent[:3])} and {len(absent) - 3} more" if len(absent) > 3 else ", ".join(absent)
        print(
            f"`metaswin {arguments.command}` needs Python packages that are not installed ({named}): "
            'install them with `pip install "metaswin[workflow]"`',
            file=sys.stderr,
        )
        return 2
    try:
        return arguments.run(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        return 1


def _absent() -> list[str]:
    """Return the packages of the extra that cannot be imported, without importing any."""
    return [name for name in EXTRA if importlib.util.find_spec(name) is None]


def _add_radiomics(commands: argparse._SubParsersAction) -> None:
    from metaswin.radiomics.cli import add_parser

    add_parser(commands)


def _add_simulate(commands: argparse._SubParsersAction) -> None:
    from metaswin.simulate.cli import add_parser

    add_parser(commands)


def _add_weights(commands: argparse._SubParsersAction) -> None:
    from metaswin.imaging.weights_cli import add_parser
    from metaswin.simulate.weights import add_parser as add_standins

    add_parser(commands)
    add_standins(commands)


def _add_dicomweb(commands: argparse._SubParsersAction) -> None:
    from metaswin.cohort.fetch_cli import add_parser
    from metaswin.imaging.push import add_parser as add_push

    add_parser(commands)
    add_push(commands)


def _add_running(commands: argparse._SubParsersAction) -> None:
    from metaswin.running.cli import add_parser

    add_parser(commands)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    from metaswin.prediction.cli import add_parser
    from metaswin.prediction.validate_cli import add_parser as add_validate

    add_parser(commands)
    add_validate(commands)


def _add_schema(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("schema", help="print the JSON Schema of the configuration")
    parser.add_argument(
        "--write", action="store_true", help="write it, and config/config.yaml with every default, into the checkout"
    )

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.config.document import generated_files, json_schema
        from metaswin.core.files import write_text
        from metaswin.running.places import workflow_root

        if not arguments.write:
            print(json_schema(), end="")
            return 0
        for path, text in generated_files().items():
            write_text(workflow_root() / path, text)
            print(f"{path} written")
        return 0

    parser.set_defaults(run=run)


def _add_problems(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "problems", help="list all problems of a run with their private details: paths and ROI names as found"
    )
    parser.add_argument("--directory", default=".", help="working directory of the run (default: the current folder)")
    parser.add_argument("--results", default="results", help="its results folder")
    parser.add_argument("--private", default="private", help="its private folder")

    def run(arguments: argparse.Namespace) -> int:
        from metaswin.cohort.used import listing

        print(listing(arguments.directory, arguments.results, arguments.private))
        return 0

    parser.set_defaults(run=run)
