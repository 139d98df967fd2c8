"""Load and check a configuration. All errors are reported together before the run starts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from metaswin.config.check import check_consistency
from metaswin.config.model import Config
from metaswin.config.read import REMOVED
from metaswin.core.errors import UserError, several, suggestion

Section = TypeVar("Section", bound=BaseModel)

NO_DATA = """The configuration has no data source.
  To try metaswin on a simulated cohort:   make demo
  For your own data, write a configuration file and give it with --configfile (config/config.yaml explains every key):
    data.source        dicom, nifti, features or clinical
    data.dicom         the folder with the DICOM files (data.sheet or data.features for the other data sources)
    clinical.table     the clinical table (CSV), clinical.id its id column, clinical.columns the roles of its columns
    endpoints          the predicted outcomes
  config/examples/ contains complete examples."""


def load(raw: Mapping[str, Any], check_files: Callable[[Config], list[str]] | None = None) -> Config:
    """Build a checked `Config` from a mapping (as read from YAML).

    Parameters
    ----------
    raw : mapping
        Configuration. Missing keys have their defaults.
    check_files : callable, optional
        Returns messages about the files that the configuration names (`metaswin.running.input_files.check_files`).

    Raises
    ------
    UserError
        With all errors that were found.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise several("The configuration has errors:", [message_of(e, Config) for e in error.errors()]) from None
    if config.data.source is None:
        raise UserError(NO_DATA)
    config = _with_root(config)
    messages = check_consistency(config)
    if check_files is not None:
        messages += check_files(config)
    if messages:
        raise several("The configuration has errors:", messages)
    return config


def load_section(model: type[Section], raw: Mapping[str, Any], place: str) -> Section:
    """Build the checked settings of one section, such as `EndpointSettings` at ``endpoints.dm``.

    Raises
    ------
    UserError
        With all errors that were found.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors = [{**found, "loc": (*place.split("."), *found["loc"])} for found in error.errors()]
        messages = [message_of(one, Config) for one in errors]
        raise several("The settings have errors:", messages) from None


def _with_root(config: Config) -> Config:
    """Return the configuration with the relative paths of the data joined to `data.root`."""
    if config.data.root is None:
        return config
    root = Path(config.data.root)
    paths = {key: value for key in ("dicom", "sheet", "features") if (value := getattr(config.data, key)) is not None}
    data = config.data.model_copy(update={key: str(root / path) for key, path in paths.items()})
    table = config.clinical.table
    clinical = config.clinical.model_copy(update={"table": str(root / table) if table is not None else None})
    return config.model_copy(update={"data": data, "clinical": clinical})


def message_of(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Describe an error of pydantic with the key of `model`, what was expected and what was found."""
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    given = error["input"]
    if where in REMOVED:
        return f"{where} is no longer a setting. {REMOVED[where]}"
    if isinstance(given, str) and (advice := REMOVED.get(f"{where}={given}")):
        return f"{where}: {given!r} is no longer a choice. {advice}"
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}{suggestion(place[-1], _keys_at(model, place[:-1]))}"
    found = f" (found {given!r})" if isinstance(given, (str, int, float, bool, type(None))) else ""
    return f"{where or 'configuration'}: {error['msg'].removeprefix('Value error, ')}{found}"


def _keys_at(model: Any, place: list[str]) -> list[str]:
    """Return the keys that are allowed at a place of a model."""
    for part in place:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = _model_of(fields[part].annotation)
    return sorted(getattr(model, "model_fields", {}))


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_of(inner))), None)
