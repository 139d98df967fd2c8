"""Define the command ``metaswin fetch``: DICOM from a DICOMweb server, or a collection of Imaging Data Commons."""

import argparse
import warnings
from datetime import date
from pathlib import Path

from metaswin.core.errors import UserError, several


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``fetch`` to the subcommands of `metaswin`."""
    parser = commands.add_parser(
        "fetch",
        help="fetch DICOM of listed patients from a DICOMweb server (PACS), or a collection of Imaging Data Commons",
        description="Fetch DICOM into a folder. A second call completes an interrupted one. See docs/dicomweb.md.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    add_server(source)
    source.add_argument("--idc", metavar="COLLECTION", help="a collection of Imaging Data Commons (needs idc-index)")
    parser.add_argument("--patients", type=Path, help="CSV with the ids of the patients; the clinical table will do")
    parser.add_argument("--id", default="patient_id", metavar="COLUMN", help="its column (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the DICOM files")
    parser.add_argument("--modalities", nargs="+", default=["CT", "RTSTRUCT", "SEG"], help="default: CT RTSTRUCT SEG")
    parser.add_argument("--from", dest="first", type=_day, metavar="DATE", help="first date of the study (YYYY-MM-DD)")
    parser.add_argument("--to", dest="last", type=_day, metavar="DATE", help="last date of the study (YYYY-MM-DD)")
    parser.add_argument("--jobs", type=int, default=4, help="patients at a time (default: %(default)s)")
    add_connection(parser)
    parser.set_defaults(run=run)


def add_server(parser: argparse._ActionsContainer, **options: bool) -> None:
    """Add ``--dicomweb``."""
    parser.add_argument("--dicomweb", metavar="URL", help="root of a DICOMweb service", **options)  # type: ignore[arg-type]


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options of a connection."""
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds without an answer before a retry (default: %(default)g)"
    )
    parser.add_argument("--plain-http", action="store_true", help="allow http to another machine (not encrypted)")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2015-12-31") from None


def run(arguments: argparse.Namespace) -> int:
    """Fetch; returns the exit status."""
    from metaswin.cohort.dicomweb import Server, checked_url
    from metaswin.cohort.fetch import Selection, fetch, read_patients

    messages = [] if arguments.timeout > 0 else ["--timeout: give a number above 0"]
    messages += [] if arguments.jobs > 0 else ["--jobs: give a number above 0"]
    if arguments.first and arguments.last and arguments.first > arguments.last:
        messages.append("--from is later than --to")
    patients = None
    url = ""
    try:
        if arguments.patients is not None:
            patients = read_patients(arguments.patients, arguments.id)
        elif arguments.idc is None:
            messages.append("--patients is missing: a CSV file with the ids of the patients to fetch")
    except UserError as error:
        messages.append(str(error))
    try:
        if arguments.dicomweb is not None:
            url = checked_url(arguments.dicomweb, arguments.plain_http)
    except UserError as error:
        messages.append(str(error))
    if messages:
        raise several("Nothing was fetched:", messages)
    selection = Selection(tuple(arguments.modalities), arguments.first, arguments.last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote values
        if arguments.idc is not None:
            from metaswin.cohort.idc import fetch_idc

            fetch_idc(arguments.idc, selection, arguments.out, patients)
        else:
            fetch(Server(url, arguments.timeout), patients or [], selection, arguments.out, arguments.jobs)
    print(f"Everything is in {arguments.out}.")
    return 0
