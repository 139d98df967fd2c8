"""Load and check a configuration: every mistake is told at once, before anything runs."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from metaswin.clinical.settings import EndpointSettings
from metaswin.config.model import Config
from metaswin.errors import UserError, several

NO_DATA = """No data set yet.
  To try metaswin on a simulated cohort:   make demo
  For your own data, edit config/config.yaml (or give a file of your own with --configfile):
    data.source        dicom, nifti, features or clinical
    data.dicom         the folder with the DICOM files (data.sheet, data.features for the other ways in)
    clinical.table     the clinical table (CSV), clinical.id its id column, clinical.columns their roles
    endpoints          what is predicted
  config/examples/ holds three complete ones."""


def load(raw: Mapping[str, Any], check_data: bool = True) -> Config:
    """Make a checked `Config` of a mapping (as read from YAML).

    Parameters
    ----------
    raw : mapping
        The configuration; missing keys take their defaults.
    check_data : bool
        Whether to look at the files the configuration names too (the header of the clinical table).

    Raises
    ------
    UserError
        With every mistake found.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise several("The configuration has mistakes:", [_message(e) for e in error.errors()]) from None
    if config.data.source is None:
        raise UserError(NO_DATA)
    config = _with_root(config)
    messages = _check_consistency(config)
    if check_data:
        messages += _check_files(config)
    if messages:
        raise several("The configuration has mistakes:", messages)
    return config


def _with_root(config: Config) -> Config:
    """The configuration with relative paths of the data set on `data.root`."""
    if config.data.root is None:
        return config
    root = Path(config.data.root)
    paths = {key: value for key in ("dicom", "sheet", "features") if (value := getattr(config.data, key)) is not None}
    data = config.data.model_copy(update={key: str(root / path) for key, path in paths.items()})
    table = config.clinical.table
    clinical = config.clinical.model_copy(update={"table": str(root / table) if table is not None else None})
    return config.model_copy(update={"data": data, "clinical": clinical})


def json_schema() -> str:
    """JSON Schema of the configuration, as kept in ``workflow/schemas/config.schema.json``."""
    return json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"


def suggestion(word: str, known: list[str]) -> str:
    """``; did you mean …?`` when something near is known, else what is known."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"


def _message(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}{suggestion(place[-1], _keys_at(place[:-1]))}"
    given = error["input"]
    found = f" (found {given!r})" if isinstance(given, (str, int, float, bool, type(None))) else ""
    return f"{where or 'configuration'}: {error['msg'].removeprefix('Value error, ')}{found}"


def _keys_at(place: list[str]) -> list[str]:
    """Keys allowed at a place of the configuration."""
    model: Any = Config
    for part in place:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = _model_of(fields[part].annotation)
    return sorted(getattr(model, "model_fields", {}))


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_of(inner))), None)


def _check_consistency(config: Config) -> list[str]:
    """Mistakes that need no file: what one section says of another."""
    from metaswin.fusion.check import check_arms

    messages = []
    data = config.data
    if getattr(data, data.source if data.source != "nifti" else "sheet", True) is None:
        key = {"dicom": "data.dicom", "nifti": "data.sheet", "features": "data.features"}[data.source]
        messages.append(f"{key} is not set, but data.source is {data.source}; give its path")
    if config.clinical.table is None:
        messages.append("clinical.table is not set; give the path of the clinical table (CSV)")
    if not config.endpoints:
        messages.append("endpoints is empty; name what to predict, such as a 0/1 column (see config/examples)")
    for name in config.endpoints:
        if not name.replace("_", "").isalnum():
            messages.append(f"endpoints.{name}: a name may hold letters, digits and _ only")
    roles = {name.strip(): column.role for name, column in config.clinical.columns.items()}
    predictive = [name for name, role in roles.items() if role in ("baseline", "treatment")]
    for title, names in [
        *((f"clinical.sets.{key}", columns) for key, columns in config.clinical.sets.items()),
        ("folds.stratify", config.folds.stratify),
        ("evaluation.strata", config.evaluation.strata),
    ]:
        for name in names:
            if name.strip() not in roles:
                messages.append(
                    f"{title}: column {name!r} has no role in clinical.columns{suggestion(name, predictive)}"
                )
            elif name.strip() not in predictive:
                messages.append(
                    f"{title}: column {name!r} has the role {roles[name.strip()]}; "
                    "only baseline (and treatment) columns are known before the outcome"
                )
    for name, endpoint in config.endpoints.items():
        for column in endpoint_columns(endpoint):
            if roles.get(column.strip()) in ("baseline", "treatment"):
                messages.append(
                    f"endpoints.{name}: column {column!r} is an outcome here but has the role "
                    f"{roles[column.strip()]} in clinical.columns, where it would predict itself"
                )
    if data.source in ("dicom", "nifti"):
        messages += _check_regions(config)
    if config.ingest.tumor_source == "nnunet" and config.data.source == "dicom":
        from metaswin.images.model_folder import check_model_folder

        messages += check_model_folder(config.images.nnunet)
    return messages + check_arms(config)


def _check_regions(config: Config) -> list[str]:
    """Regions that radiomics names but nobody makes."""
    from metaswin.regions.rings import ring_name

    made = ["tumor", "primary", "nodes", "rings", *(ring_name(*ring) for ring in config.regions.rings)]
    unknown = [name for name in config.radiomics.regions if name not in made]
    messages = [f"radiomics.regions: nobody makes {name!r}{suggestion(name, made)}" for name in unknown]
    if "tumor" not in config.radiomics.regions and "radiomics" in config.fusion.modalities:
        messages.append("radiomics.regions lacks tumor, which the modality radiomics is made of; add it")
    return messages


def endpoint_columns(endpoint: EndpointSettings) -> list[str]:
    """Every column of the clinical table that an endpoint reads, but the start of treatment."""
    columns = [endpoint.column, endpoint.followup]
    for source in (endpoint.event, endpoint.death):
        if source is not None:
            columns += [source.column, source.time, source.date]
    return [column for column in columns if column is not None]


def _check_files(config: Config) -> list[str]:
    """Mistakes seen in the files: paths that do not exist, columns the clinical table does not have."""
    messages = []
    data = config.data
    for key, path, is_folder in [
        ("data.dicom", data.dicom, True),
        ("data.sheet", data.sheet, False),
        ("data.features", data.features, False),
    ]:
        wanted = {"dicom": "data.dicom", "nifti": "data.sheet", "features": "data.features"}.get(data.source)
        if key == wanted and path is not None and not (Path(path).is_dir() if is_folder else Path(path).is_file()):
            kind = "folder" if is_folder else "file"
            messages.append(f"{key}: no {kind} {path} (looked from {Path.cwd()})")
    if config.clinical.table is None:
        return messages
    from metaswin.clinical.table import read_header

    try:
        header = read_header(config.clinical.table)
    except UserError as error:
        return [*messages, str(error)]
    wanted_columns = [
        ("clinical.id", [config.clinical.id]),
        ("clinical.columns", list(config.clinical.columns)),
        *((f"cohort.{key}", list(getattr(config.cohort, key))) for key in type(config.cohort).model_fields),
        ("ingest.series.treatment_start", [config.ingest.series.treatment_start]),
    ]
    for name, endpoint in config.endpoints.items():
        wanted_columns.append((f"endpoints.{name}", [*endpoint_columns(endpoint), endpoint.start]))
    for title, names in wanted_columns:
        for name in names:
            if name is not None and name.strip() not in header:
                messages.append(
                    f"{title}: {config.clinical.table} has no column {name!r}{suggestion(name.strip(), header)}"
                )
    return messages
