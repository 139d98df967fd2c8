"""Check a call of ``metaswin predict``, and make the configuration of the new patients."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaswin import __version__
from metaswin.cohort.clinical_table import read_clinical, read_header
from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.cohort import ClinicalSettings
from metaswin.core.errors import UserError, several, suggestion
from metaswin.prediction.bundle import Bundle

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
        See `metaswin.prediction.call.prediction_config`.
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
            f"install {made}, or give --other-version to continue anyway"
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
                f"{table}, column {name}: {value!r} in {count} row{'s' if count != 1 else ''} is not a category that "
                f"the models know{suggestion(value, levels)}"
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
        return (
            [] if table is not None else ["neither --input nor --clinical is given; there are no patients to predict"]
        )
    path, source = Path(data), data_source(trained, data)
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


TABLE = "private/predict/clinical.csv"
IMAGES = ("dicom", "nifti")
# What a hospital may say for itself; all else belongs to the models.
LOCAL = [
    "data.sheet", "data.pseudonyms", "data.pseudonym_key", "ingest", "clinical.id", "clinical.na_values",
    "clinical.date_format", "clinical.columns", "images.nnunet", "organs.totalsegmentator.device",
    "organs.totalsegmentator.threads", "organs.totalsegmentator.weights", "organs.totalsegmentator.batch_size",
    "organs.totalsegmentator.license", "organs.masks.pattern", "deep.device", "deep.threads",
]  # fmt: skip


def prediction_config(
    bundle: Bundle,
    data: str | Path | None,
    table: str | Path | None,
    header: Collection[str],
    member: str | None = None,
    local: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Configuration of a prediction as plain values.

    Parameters
    ----------
    bundle : Bundle
    data : path or None
        Folder of DICOM files, sheet of NIfTI files or table of features; None predicts from the clinical table alone.
    table : path or None
        The new patients' clinical table.
    header : collection of str
        Its columns.
    member : str or None
        ``repeat,fold``.
    local : mapping or None
        Settings of the place where the patients come from, see `LOCAL`.
    """
    config = merged(bundle.config, local or {})
    source = data_source(config["source"], data)
    wanted = {name for endpoint in bundle.endpoints.values() for name in endpoint["columns"]}
    clinical = config["clinical"]
    columns = {name: column for name, column in clinical["columns"].items() if name in wanted}
    there = {name.strip() for name in header}
    cohort = {
        rule: {name: values for name, values in columns.items() if name.strip() in there}
        for rule, columns in config["cohort"].items()
    }
    series = config["ingest"]["series"]
    start = series["treatment_start"]
    if start is not None and start.strip() not in there:
        series = {**series, "treatment_start": None}
    modalities = bundle.modalities()
    stages = {
        name: config[name] for name in ("seed", "images", "organs", "regions", "qc_images", "radiomics", "patches")
    }
    return {
        **stages,
        "data": {**config.get("data", {}), "source": source, **_paths(source, data)},
        "clinical": {**clinical, "table": TABLE, "columns": columns, "sets": _sets(clinical["sets"], columns)},
        "cohort": cohort,
        "ingest": {**config["ingest"], "series": series},
        "anatomy": {**config["anatomy"], "enabled": "anatomy" in modalities and source in IMAGES},
        "deep": {**config["deep"], "enabled": "deep" in modalities and source in IMAGES},
        "stability": {"enabled": False},
        "predict": {
            "bundle": str(bundle.folder.resolve()),
            "clinical": None if table is None else str(Path(table).resolve()),
            "member": member,
        },
    }


def data_source(trained: str, data: str | Path | None) -> str:
    """``data.source`` of the new data: a folder holds DICOM, a file is the sheet or the table of features."""
    if data is None or trained == "clinical":
        return "clinical"
    if trained in IMAGES:
        return "dicom" if Path(data).is_dir() else "nifti"
    return trained


def merged(config: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, Any]:
    """`local` on top of `config`.

    Raises
    ------
    UserError
        If `local` sets what belongs to the models.
    """
    foreign = [path for path in _leaves(local) if not any(path == own or path.startswith(f"{own}.") for own in LOCAL)]
    if foreign:
        raise several(
            "These settings belong to the models of the bundle and cannot be changed:",
            [*foreign, f"what can be set: {', '.join(LOCAL)}"],
        )
    return _onto(config, local)


def _onto(config: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(config)
    for key, value in local.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _onto(found[key], value) if both else value
    return found


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and path not in LOCAL:
            yield from _leaves(value, f"{path}.")
        else:
            yield path


def _sets(sets: Mapping[str, list[str]], columns: Collection[str]) -> dict[str, list[str]]:
    """Clinical sets whose columns the bundle joins."""
    known = {name.strip() for name in columns}
    return {name: names for name, names in sets.items() if {column.strip() for column in names} <= known}


def _paths(source: str, data: str | Path | None) -> dict[str, str]:
    key = {"dicom": "dicom", "nifti": "sheet", "features": "features"}.get(source)
    return {} if key is None else {key: str(Path(str(data)).resolve())}
