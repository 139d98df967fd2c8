"""The configuration that new patients go through: the bundle's, with the paths of the new data."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from metaswin.bundle.load import Bundle
from metaswin.errors import several

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
    source = way_in(config["source"], data)
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
    blocks = bundle.blocks()
    stages = {
        name: config[name] for name in ("seed", "images", "organs", "regions", "pictures", "radiomics", "patches")
    }
    return {
        **stages,
        "data": {**config.get("data", {}), "source": source, **_paths(source, data)},
        "clinical": {**clinical, "table": TABLE, "columns": columns, "sets": _sets(clinical["sets"], columns)},
        "cohort": cohort,
        "ingest": {**config["ingest"], "series": series},
        "anatomy": {**config["anatomy"], "enabled": "anatomy" in blocks and source in IMAGES},
        "deep": {**config["deep"], "enabled": "deep" in blocks and source in IMAGES},
        "stability": {"enabled": False},
        "predict": {
            "bundle": str(bundle.folder.resolve()),
            "clinical": None if table is None else str(Path(table).resolve()),
            "member": member,
        },
    }


def way_in(trained: str, data: str | Path | None) -> str:
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
