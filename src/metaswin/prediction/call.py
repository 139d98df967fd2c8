"""Check a call of ``metaswin predict``, and make the configuration of the new patients."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaswin import __version__
from metaswin.cohort.clinical_table import missing_column, own_names, read_clinical, read_header
from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.check import PREDICTIVE
from metaswin.config.cohort import ClinicalSettings, EndpointSettings
from metaswin.config.load import load_section
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
        Settings of the clinical table, see `clinical_of`.
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
    no_id = missing_column(settings, settings.id, header, "clinical.id")
    messages = [no_id] if no_id is not None else []
    columns = {name: kind for endpoint in bundle.endpoints.values() for name, kind in endpoint["columns"].items()}
    found = [missing_column(settings, name, header, "--clinical") for name in columns]
    missing = [message for message in found if message is not None]
    if missing and not lenient:
        messages += missing
        messages.append(
            f"name the columns of this table (clinical.columns.<name>.column in the file given with --settings) or add "
            f"them ({len(missing)}; empty where unknown), {LENIENT}"
        )
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
            "write these categories as the training table did (clinical.columns.<name>.map in the file given with "
            f"--settings), {LENIENT}"
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
    "clinical.date_format", "clinical.columns", "endpoints", "export", "images.nnunet",
    "organs.totalsegmentator.device", "organs.totalsegmentator.threads", "organs.totalsegmentator.weights",
    "organs.totalsegmentator.batch_size", "organs.totalsegmentator.license", "organs.masks.pattern", "deep.device",
    "deep.threads",
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
    clinical = clinical_of(bundle.config, local or {}, header)
    source = data_source(config["source"], data)
    wanted = {name for endpoint in bundle.endpoints.values() for name in endpoint["columns"]}
    there = set(own_names(ClinicalSettings(**clinical), [name.strip() for name in header]).values())
    cohort = {
        rule: {name: values for name, values in columns.items() if name.strip() in there}
        for rule, columns in config["cohort"].items()
    }
    series = config["ingest"]["series"]
    start = series["treatment_start"]
    if start is not None and start.strip() not in there:
        series = {**series, "treatment_start": None}
    columns = {name: column for name, column in clinical["columns"].items() if name in wanted}
    # Other columns that are read keep their name and spelling in this table, and cannot predict.
    others = {name.strip() for rule in cohort.values() for name in rule} | {(series["treatment_start"] or "").strip()}
    columns |= {
        name: {**column, "role": "ignore"}
        for name, column in clinical["columns"].items()
        if name not in columns and name.strip() in others
    }
    modalities = bundle.modalities()
    stages = {
        name: config[name] for name in ("seed", "images", "organs", "regions", "qc_images", "radiomics", "patches")
    }
    return {
        **stages,
        "data": {**config.get("data", {}), "source": source, **_paths(source, data)},
        "clinical": {**clinical, "table": TABLE, "columns": columns, "sets": _sets(clinical["sets"], wanted)},
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
    """`local` on top of `config`; `endpoints` stay as they are, see `outcome_settings`.

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
    return _onto(config, {section: values for section, values in local.items() if section != "endpoints"})


def clinical_of(config: Mapping[str, Any], local: Mapping[str, Any], header: Collection[str]) -> dict[str, Any]:
    """Settings of a clinical table from another place, as plain values.

    The table may name a predictor as the training table did, as the bundle does, or as `local` says
    (`clinical.columns.<name>.column`).

    Parameters
    ----------
    config : mapping
        The bundle's configuration.
    local : mapping
        Settings of the place where the patients come from.
    header : collection of str
        Columns of the table.

    Raises
    ------
    UserError
        If `local` sets what belongs to the models, has a mistake, names a column that the bundle does not know, or
        reads one column as predictor and outcome.
    """
    clinical = merged(config, local)["clinical"]
    own = (local.get("clinical") or {}).get("columns")
    own = own if isinstance(own, Mapping) else {}
    known = config["clinical"]["columns"]
    unknown = [name for name, column in own.items() if name not in known and "role" not in _expanded(column)]
    if unknown:
        messages = [f"clinical.columns.{name}: not in the bundle{suggestion(name, known)}" for name in unknown]
        remedy = "use the names of the bundle, and give those of the table as `column`; any other column needs a role"
        raise several("The settings have mistakes:", [*messages, remedy])
    named = {name for name, column in own.items() if _expanded(column).get("column")}
    # Columns that `local` reads are not read under a name of the training run too.
    claimed = {str(_expanded(own[name])["column"]).strip() for name in named}
    outcomes = set(_columns_in(local.get("endpoints")))
    claimed |= outcomes
    columns, predicting = {}, []
    for name, column in clinical["columns"].items():
        values = column if isinstance(column, Mapping) else {**known.get(name, {}), "role": column}
        if name not in named and values.get("column") and values["column"].strip() not in header:
            values = {**values, "column": None}
        source = (values.get("column") or name).strip()
        if name in named or source not in claimed or values.get("role") in PREDICTIVE:
            columns[name] = values
        if values.get("role") in PREDICTIVE and outcomes & {name.strip(), source}:
            predicting.append(
                f"clinical.columns.{name} reads {source!r}, which is an outcome in endpoints; correct one"
            )
    if predicting:
        raise several("An outcome would predict:", predicting)
    return load_section(ClinicalSettings, {**clinical, "columns": columns}, "clinical").model_dump(mode="json")


def _expanded(column: Any) -> Mapping[str, Any]:
    """Settings of a column; its role alone is a short form."""
    return column if isinstance(column, Mapping) else {"role": column}


def _columns_in(section: Any) -> Iterator[str]:
    """Columns that sections of endpoints name."""
    for key, value in section.items() if isinstance(section, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _columns_in(value)
        elif isinstance(value, str) and key in ("column", "start", "followup", "time", "date"):
            yield value.strip()


def outcome_settings(
    endpoints: Mapping[str, Mapping[str, Any]], local: Mapping[str, Any]
) -> dict[str, EndpointSettings]:
    """Where the outcomes of each endpoint stand in a table from another place.

    A section ``endpoints.<name>`` of `local` describes the outcomes in that table, in days or dates, or as a plain
    0/1 column that is known at the horizon. It replaces the section of the training run; the horizon and the rule of
    deaths belong to the models and stay. null leaves the endpoint out.

    Parameters
    ----------
    endpoints : mapping
        Settings of each endpoint of the bundle.
    local : mapping
        Settings of the place where the patients come from.

    Raises
    ------
    UserError
        With every mistake found.
    """
    given = local.get("endpoints") or {}
    if not isinstance(given, Mapping):
        raise UserError(f"endpoints: found {type(given).__name__}; expected a section for each endpoint of the bundle")
    messages = [f"endpoints.{name}: no such endpoint in the bundle{suggestion(name, endpoints)}" for name in given
                if name not in endpoints]  # fmt: skip
    found = {}
    for name, trained in endpoints.items():
        if name in given and given[name] is None:
            continue
        values = given.get(name, trained)
        if not isinstance(values, Mapping):
            raise UserError(f"endpoints.{name}: found {values!r}; expected a section that names columns, or null")
        for key in ("horizon_days", "deaths"):
            if values is not trained and key in values and values[key] != trained.get(key):
                messages.append(
                    f"endpoints.{name}.{key}: {values[key]!r}, but the models were trained for {trained.get(key)!r}; "
                    "delete this line"
                )
        belongs = {key: trained[key] for key in ("horizon_days", "deaths") if trained.get(key) is not None}
        found[name] = load_section(EndpointSettings, {**values, **belongs}, f"endpoints.{name}")
    if not messages and not found:
        messages.append("endpoints: every endpoint of the bundle is null; nothing is left to validate")
    if messages:
        raise several("The settings have mistakes:", messages)
    return found


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
