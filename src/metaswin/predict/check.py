"""Everything that is wrong with a call of `metaswin predict`, before anything long runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaswin import __version__
from metaswin.bundle.load import Bundle
from metaswin.clinical.predictors import UNKNOWN, normalised
from metaswin.clinical.settings import ClinicalSettings
from metaswin.clinical.table import read_clinical, read_header
from metaswin.errors import UserError, suggestion
from metaswin.predict.config import way_in

LENIENT = "or give --lenient: they count as missing, and every patient concerned says so"


def check_call(
    bundle: Bundle,
    data: str | Path | None,
    table: str | Path | None,
    member: str | None,
    clinical: Mapping[str, Any],
    lenient: bool = False,
    other_version: bool = False,
) -> list[str]:
    """Messages on a call.

    Parameters
    ----------
    bundle : Bundle
    data, table, member
        See `metaswin.predict.config.prediction_config`.
    clinical : mapping
        Settings of the clinical table.
    lenient : bool
        Whether missing columns and unknown categories count as missing values.
    other_version : bool
        Whether a bundle of another version of metaswin is taken.
    """
    messages = []
    made = bundle.facts["metaswin"]
    if made != __version__ and not other_version:
        messages.append(
            f"the bundle was made by metaswin {made}, and this is {__version__}: features and predictions may differ; "
            f"install {made}, or give --other-version to go on all the same"
        )
    messages += _check_member(bundle, member) + _check_data(bundle.config["source"], data, table)
    return messages + (check_table(bundle, table, clinical, lenient) if table is not None else [])


def check_table(bundle: Bundle, table: str | Path, clinical: Mapping[str, Any], lenient: bool) -> list[str]:
    """Messages on the clinical table: columns that are missing, categories that the models do not know, no row."""
    settings = ClinicalSettings(**{**clinical, "table": str(table)})
    try:
        header = read_header(table)
    except UserError as error:
        return [str(error)]
    messages = []
    if settings.id.strip() not in header:
        messages.append(f"clinical.id: {table} has no column {settings.id!r}{suggestion(settings.id, header)}")
    columns = {name: kind for endpoint in bundle.endpoints.values() for name, kind in endpoint["columns"].items()}
    missing = [name for name in columns if name.strip() not in header]
    if missing and not lenient:
        messages += [f"{table} has no column {name!r}{suggestion(name.strip(), header)}" for name in missing]
        messages.append(f"add these columns ({len(missing)}; empty where unknown), {LENIENT}")
    if settings.id.strip() not in header:
        return messages
    try:
        rows = read_clinical(table, settings).table
    except UserError as error:
        return [*messages, str(error)]
    if rows.empty:
        messages.append(f"{table} has no row; give one row a patient")
    if not lenient:
        messages += _unknown_categories(bundle, rows, table)
    return messages


def _unknown_categories(bundle: Bundle, rows: Any, table: str | Path) -> list[str]:
    messages = []
    for endpoint in bundle.endpoints:
        for name, levels in bundle.ranges(endpoint)["clinical"]["levels"].items():
            if name.strip() not in rows:
                continue
            found = Counter(value for value in normalised(rows[name.strip()]) if value not in (*levels, UNKNOWN))
            messages += [
                f"{table}, column {name}: {value!r} in {count} row{'s' if count != 1 else ''} is no category that the "
                f"models know{suggestion(value, levels)}"
                for value, count in sorted(found.items())
            ]
    if messages:
        messages.append(
            f"write these categories as the training table did (clinical.columns.<name>.map helps), {LENIENT}"
        )
    return list(dict.fromkeys(messages))


def _check_member(bundle: Bundle, member: str | None) -> list[str]:
    if member is None:
        return []
    messages = []
    for endpoint in bundle.endpoints:
        known = [f"{repeat},{fold}" for repeat, fold in bundle.members(endpoint)]
        if member not in known:
            messages.append(f"--member {member}: the bundle has {', '.join(known)} (repeat,fold)")
    return messages[:1]


def _check_data(trained: str, data: str | Path | None, table: str | Path | None) -> list[str]:
    if data is None:
        return [] if table is not None else ["neither --input nor --clinical is given; there is nobody to predict"]
    path, source = Path(data), way_in(trained, data)
    if trained == "clinical":
        return ["--input: the models read the clinical table alone; give --clinical only"]
    if not path.exists():
        return [f"--input: no folder or file {data} (looked from {Path.cwd()})"]
    if source == "dicom" and not any(path.iterdir()):
        return [f"--input: the folder {data} is empty; give the folder with the DICOM files"]
    if source == "features" and path.is_dir():
        return [f"--input: the models were trained on a table of features; {data} is a folder"]
    return []


def versions_differ(made: Mapping[str, str], here: Mapping[str, str]) -> Sequence[str]:
    """Packages whose versions are not those the bundle was made with."""
    return [
        f"{package} {here.get(package, 'absent')} instead of {version}"
        for package, version in made.items()
        if here.get(package) != version
    ]
