"""Check a call of ``metaswin predict``, and build the configuration for the new patients."""

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
from metaswin.core.files import file_hash
from metaswin.features.embedding import different_encoder, embedding_columns
from metaswin.features.importing import some
from metaswin.prediction.bundle import Bundle

LENIENT = "or give --lenient to treat them as missing; every affected patient then has a warning"


def check_call(
    bundle: Bundle,
    data: str | Path | None,
    table: str | Path | None,
    member: str | None,
    clinical: Mapping[str, Any],
    lenient: bool = False,
    other_version: bool = False,
    embedding: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return messages about errors in a call.

    Parameters
    ----------
    bundle : Bundle
    data, table, member
        See `metaswin.prediction.call.prediction_config`.
    clinical : mapping
        Settings of the clinical table, see `clinical_of`.
    lenient : bool
        Whether missing columns and unknown categories are treated as missing values.
    other_version : bool
        Whether a bundle of another version of metaswin is accepted.
    embedding : mapping or None
        Section ``embedding`` of the local settings.
    """
    messages = []
    made = bundle.facts["metaswin"]
    if made != __version__ and not other_version:
        messages.append(
            f"the bundle was made by metaswin {made}, but this is {__version__}; features and predictions may differ; "
            f"install {made}, or give --other-version to continue anyway"
        )
    messages += _check_member(bundle, member) + _check_data(bundle.config["source"], data, table)
    messages += _check_embedding(bundle, data, embedding or {})
    return messages + (check_table(bundle, table, clinical, lenient) if table is not None else [])


def check_table(bundle: Bundle, table: str | Path, clinical: Mapping[str, Any], lenient: bool) -> list[str]:
    """Return messages about the clinical table: missing columns, categories that the models do not know, no rows."""
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
            f"give the names of these {len(missing)} columns in this table (clinical.columns.<name>.column in the file "
            f"given with --settings), or add them with empty values, {LENIENT}"
        )
    if settings.id.strip() not in header:
        return messages
    try:
        rows = read_clinical(table, settings).table
    except UserError as error:
        return [*messages, str(error)]
    if rows.empty:
        messages.append(f"{table} has no rows; one row per patient is expected; add the patients")
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
            "map these categories to those of the training table (clinical.columns.<name>.map in the file given with "
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


def _check_embedding(bundle: Bundle, data: str | Path | None, given: Mapping[str, Any]) -> list[str]:
    """Require the encoder of the training run, or a table with the same columns."""
    if "embedding" not in bundle.modalities():
        return []
    wanted = bundle.facts["embedding"]
    key = "model" if wanted["sha256"] else "table"
    if key == "model" and data_source(bundle.config["source"], data) not in IMAGES:
        return []  # there is nothing to encode, as for the other modalities of images
    path = given.get(key)
    what = f"the encoder with the SHA-256 {wanted['sha256']}" if key == "model" else "a table of embeddings"
    if path is None:
        return [f"the models need {what}; give embedding.{key} in the file given with --settings"]
    if not Path(path).is_file():
        return [f"embedding.{key}: no file {path} (looked from {Path.cwd()}); the models need {what}"]
    if key == "model":
        found = file_hash(path)
        return [] if found == wanted["sha256"] else [different_encoder(found, wanted["sha256"])]
    try:
        columns = embedding_columns(path)
    except UserError as error:
        return [str(error)]
    missing = [name for name in wanted["columns"] if name not in columns]
    return missing and [
        f"embedding.table: {path} lacks {len(missing)} columns of the embeddings of the training run "
        f"({some(missing)}); give embeddings of the same encoder under the same names"
    ]


def _check_data(trained: str, data: str | Path | None, table: str | Path | None) -> list[str]:
    if data is None:
        return (
            [] if table is not None else ["neither --input nor --clinical is given; there are no patients to predict"]
        )
    path, source = Path(data), data_source(trained, data)
    if trained == "clinical":
        return ["--input: the models use only the clinical table; give only --clinical"]
    if not path.exists():
        return [f"--input: no folder or file {data} (looked from {Path.cwd()})"]
    if source == "dicom" and not any(path.iterdir()):
        return [f"--input: the folder {data} is empty; give the folder with the DICOM files"]
    if source == "features" and path.is_dir():
        return [f"--input: {data} is a folder, but the models need a table of features; give the file of the table"]
    return []


def versions_differ(made: Mapping[str, str], here: Mapping[str, str]) -> Sequence[str]:
    """Return the packages whose versions differ from those with which the bundle was made."""
    return [
        f"{package} {here.get(package, 'absent')} instead of {version}"
        for package, version in made.items()
        if here.get(package) != version
    ]


TABLE = "private/predict/clinical.csv"
IMAGES = ("dicom", "nifti")
# Settings that depend on the hospital. All other settings belong to the models.
LOCAL = [
    "data.sheet", "data.pseudonyms", "data.pseudonym_key", "ingest", "clinical.id", "clinical.na_values",
    "clinical.date_format", "clinical.columns", "endpoints", "export", "images.nnunet",
    "organs.totalsegmentator.device", "organs.totalsegmentator.threads", "organs.totalsegmentator.weights",
    "organs.totalsegmentator.batch_size", "organs.totalsegmentator.license", "organs.masks.pattern", "deep.device",
    "deep.threads", "embedding.model", "embedding.table",
]  # fmt: skip


def prediction_config(
    bundle: Bundle,
    data: str | Path | None,
    table: str | Path | None,
    header: Collection[str],
    member: str | None = None,
    local: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the configuration of a prediction as plain values.

    Parameters
    ----------
    bundle : Bundle
    data : path or None
        Folder of DICOM files, sheet of NIfTI files or table of features. None predicts from the clinical table alone.
    table : path or None
        Clinical table of the new patients.
    header : collection of str
        Columns of the clinical table.
    member : str or None
        ``repeat,fold``.
    local : mapping or None
        Local settings of the hospital of the new patients, see `LOCAL`.
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
    # Other columns that are read keep their name and spelling in this table. They cannot be predictors.
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
        "embedding": _embedding(bundle, config, source),
        "stability": {"enabled": False},
        "predict": {
            "bundle": str(bundle.folder.resolve()),
            "clinical": None if table is None else str(Path(table).resolve()),
            "member": member,
        },
    }


def _embedding(bundle: Bundle, config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the section ``embedding`` with absolute paths; without paths if the new patients have no embeddings."""
    section = dict(config.get("embedding", {}))
    used = "embedding" in bundle.modalities()
    for key, there in (("model", used and source in IMAGES), ("table", used)):
        path = section.pop(key, None)
        if there and path is not None:
            section[key] = str(Path(path).resolve())
    return section


def data_source(trained: str, data: str | Path | None) -> str:
    """Return ``data.source`` of the new data: a folder contains DICOM, a file is the sheet or the table of features."""
    if data is None or trained == "clinical":
        return "clinical"
    if trained in IMAGES:
        return "dicom" if Path(data).is_dir() else "nifti"
    return trained


def merged(config: Mapping[str, Any], local: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `local` into `config`, without `endpoints`, see `outcome_settings`.

    Raises
    ------
    UserError
        If `local` contains settings that belong to the models.
    """
    foreign = [path for path in _leaves(local) if not any(path == own or path.startswith(f"{own}.") for own in LOCAL)]
    if foreign:
        raise several(
            "These settings belong to the models of the bundle and cannot be changed:",
            [*foreign, f"settings that can be changed: {', '.join(LOCAL)}"],
        )
    return _onto(config, {section: values for section, values in local.items() if section != "endpoints"})


def clinical_of(config: Mapping[str, Any], local: Mapping[str, Any], header: Collection[str]) -> dict[str, Any]:
    """Return the settings of a clinical table of another hospital, as plain values.

    The table may use the name of a predictor in the training table, the name in the bundle, or the name in `local`
    (`clinical.columns.<name>.column`).

    Parameters
    ----------
    config : mapping
        Configuration of the bundle.
    local : mapping
        Local settings of the hospital of the new patients.
    header : collection of str
        Columns of the table.

    Raises
    ------
    UserError
        If `local` contains settings that belong to the models, has an error, names a column that the bundle does not
        know, or reads one column as predictor and outcome.
    """
    clinical = merged(config, local)["clinical"]
    own = (local.get("clinical") or {}).get("columns")
    own = own if isinstance(own, Mapping) else {}
    known = config["clinical"]["columns"]
    unknown = [name for name, column in own.items() if name not in known and "role" not in _expanded(column)]
    if unknown:
        messages = [f"clinical.columns.{name}: not in the bundle{suggestion(name, known)}" for name in unknown]
        remedy = "use the names of the bundle, and give those of the table as `column`; any other column needs a role"
        raise several("The settings have errors:", [*messages, remedy])
    named = {name for name, column in own.items() if _expanded(column).get("column")}
    # Columns that `local` names are not also read under a name of the training run.
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
        raise several("An outcome would be used as a predictor:", predicting)
    return load_section(ClinicalSettings, {**clinical, "columns": columns}, "clinical").model_dump(mode="json")


def _expanded(column: Any) -> Mapping[str, Any]:
    """Return the settings of a column; a role alone is a short form."""
    return column if isinstance(column, Mapping) else {"role": column}


def _columns_in(section: Any) -> Iterator[str]:
    """Yield the columns that sections of endpoints name."""
    for key, value in section.items() if isinstance(section, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _columns_in(value)
        elif isinstance(value, str) and key in ("column", "start", "followup", "time", "date"):
            yield value.strip()


def outcome_settings(
    endpoints: Mapping[str, Mapping[str, Any]], local: Mapping[str, Any]
) -> dict[str, EndpointSettings]:
    """Return the settings of the outcomes of each endpoint in a table of another hospital.

    A section ``endpoints.<name>`` of `local` describes the outcomes in that table, in days or dates, or as a plain
    0/1 column that is known at the horizon. It replaces the section of the training run. The horizon and the rule for
    deaths belong to the models and are kept. null excludes the endpoint.

    Parameters
    ----------
    endpoints : mapping
        Settings of each endpoint of the bundle.
    local : mapping
        Local settings of the hospital of the new patients.

    Raises
    ------
    UserError
        With all errors that were found.
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
        raise several("The settings have errors:", messages)
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
    """Return the clinical sets whose columns the bundle uses."""
    known = {name.strip() for name in columns}
    return {name: names for name, names in sets.items() if {column.strip() for column in names} <= known}


def _paths(source: str, data: str | Path | None) -> dict[str, str]:
    key = {"dicom": "dicom", "nifti": "sheet", "features": "features"}.get(source)
    return {} if key is None else {key: str(Path(str(data)).resolve())}
