"""Import a table of features as the data source, in the form of the long table that the extraction writes."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.core.errors import UserError, several
from metaswin.core.files import write_table
from metaswin.core.problems import Problem, public_table, save_details
from metaswin.core.used import used_patients
from metaswin.radiomics.settings import REGIONS, RING

if TYPE_CHECKING:
    import pandas as pd

STAGE = "radiomics"
ID = "patient_id"


def import_features(
    table: str, used: str, features: str, problems: str, details: str | Path, pseudonym: Callable[[str], str] = str
) -> None:
    """Convert a user's table (one row per patient, columns ``<region>__<feature>``) to the long form.

    Parameters
    ----------
    table : str
        CSV or Parquet. Columns without ``__`` belong to the region ``tumor``.
    used : str
        Parquet with the column ``patient``: the cohort.
    features, problems : str
        Outputs: the long table (``patient, region, voxels``, features; NaN if a region does not have the feature) and
        the table of problems.
    details : str or Path
        Folder of private details.
    pseudonym : callable
        Function that returns the pseudonym of a study id.

    Raises
    ------
    UserError
        If the table has errors. The message lists all of them.
    """
    cohort = used_patients(used)
    wide, unused = read_wide(table, cohort, pseudonym)
    found = missing_and_unused(wide, cohort, unused)
    save_details(found, Path(details))
    write_table(features, to_long(wide), {"engine": "imported"})
    write_table(problems, public_table(found))


def read_wide(path: str, cohort: list[str], pseudonym: Callable[[str], str] = str) -> tuple["pd.DataFrame", list[str]]:
    """Read and check a user's table.

    Returns
    -------
    wide : DataFrame
        Rows of the cohort's patients; index ``patient`` (text), columns ``<region>__<feature>`` as float64.
        Infinite values count as missing.
    unused : list of str
        Ids of the other rows.

    Raises
    ------
    UserError
        If a part is unreadable, duplicated or not numeric. The message lists all errors.
    """
    import pandas as pd

    raw, unused, messages = rows_of(read_raw(path, "data.features", "table of features"), cohort, pseudonym)
    if raw.columns.empty:
        messages.append(f"no column except {ID}; add one column per feature")
    columns: dict[str, pd.Series] = {}
    for name in raw.columns:
        full = name.strip() if "__" in name else f"tumor__{name.strip()}"
        region, _, feature = full.partition("__")
        if not feature or not (region in REGIONS[:3] or RING.fullmatch(region)):
            messages.append(
                f"column {name!r}: expected <region>__<feature> with region tumor, primary, nodes or ring_<from>_<to>mm"
            )
        elif full in columns:
            messages.append(f"feature {full!r} is in more than one column; keep one")
        columns[full] = numbers_of(raw[name], messages)
    if messages:
        raise several(f"The table of features {path} has errors:", messages)
    return pd.DataFrame(columns, index=raw.index), unused


def missing_and_unused(wide: "pd.DataFrame", cohort: list[str], unused: list[str]) -> list[Problem]:
    """Report patients without any value, and rows of unknown patients. Neither problem excludes a patient."""
    problems = [
        Problem(
            patient,
            STAGE,
            "no-feature-values",
            found="no value in the table of features",
            expected="values of the patient's regions",
            action="complete the row; until then its features are imputed by training medians and flagged",
            excludes=False,
        )
        for patient in sorted(set(cohort) - set(wide.dropna(how="all").index))
    ]
    if unused:
        problems.append(
            Problem(
                "",
                STAGE,
                "unused-feature-rows",
                found=f"{len(unused)} rows of the table of features whose id is not in the cohort",
                expected="ids of the cohort",
                action=f"compare {ID} with the ids of the clinical table and with the exclusions",
                excludes=False,
                private=f"unused ids: {', '.join(unused)}",
            )
        )
    return problems


def to_long(wide: "pd.DataFrame") -> "pd.DataFrame":
    """Return sorted rows ``patient, region, voxels``, features. A region without any value has no row."""
    import pandas as pd

    parts = []
    for region in sorted({name.partition("__")[0] for name in wide.columns}):
        part = wide[[name for name in wide.columns if name.startswith(f"{region}__")]]
        part = part.rename(columns=lambda name: name.partition("__")[2]).dropna(how="all")
        parts.append(part.reset_index().assign(region=region))
    long = pd.concat(parts, ignore_index=True)
    features = [name for name in long.columns if name not in ("patient", "region")]
    long = long.assign(voxels=pd.array([None] * len(long), dtype="Int64"))
    return long[["patient", "region", "voxels", *features]].sort_values(["patient", "region"], ignore_index=True)


def read_raw(path: str, setting: str, what: str) -> "pd.DataFrame":
    """Read a user's table and check its column names, because pandas renames duplicated columns.

    `setting` names the path of the table in messages, and `what` the table.
    """
    import pandas as pd

    try:
        if str(path).lower().endswith((".parquet", ".pq")):
            raw = pd.read_parquet(path)
            names = [str(name) for name in raw.columns]
        else:
            header = pd.read_csv(path, header=None, nrows=1, dtype=str, encoding="utf-8-sig", keep_default_na=False)
            names = header.iloc[0].tolist()
            raw = pd.read_csv(
                path, header=None, skiprows=1, names=range(len(names)), index_col=False, encoding="utf-8-sig",
                dtype={names.index(ID): str} if ID in names else None, low_memory=False,
            )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UserError(f"{setting}: cannot read {path} ({error}); give a CSV (UTF-8, commas) or Parquet") from None
    messages = []
    if twice := sorted({name for name in names if names.count(name) > 1}):
        messages.append(f"columns named twice: {some(twice)}; give each column its own name")
    if ID not in names:
        near = difflib.get_close_matches(ID, names, n=1)
        hint = f"rename {near[0]!r}" if near else f"found {some(names)}"
        messages.append(f"no column {ID!r}; {hint}")
    if messages:
        raise several(f"The {what} {path} has errors:", messages)
    return raw.set_axis(names, axis="columns")


def rows_of(
    raw: "pd.DataFrame", cohort: list[str], pseudonym: Callable[[str], str]
) -> tuple["pd.DataFrame", list[str], list[str]]:
    """Return the rows of the cohort (index ``patient``), the other ids, and a message if ids have several rows."""
    ids = raw[ID].astype("str").str.strip().fillna("").map(pseudonym).rename("patient")
    rows = raw.drop(columns=ID).set_index(ids)
    there = rows.index.isin(cohort)
    rows, unused = rows[there], sorted(rows.index[~there])
    twice = sorted(set(rows.index[rows.index.duplicated()]))
    message = f"{len(twice)} ids in more than one row ({some(twice)}); keep one row per patient"
    return rows, unused, [message] if twice else []


def numbers_of(column: "pd.Series", messages: list[str]) -> "pd.Series":
    """Return a column as float64; infinite values count as missing. Text is added to `messages` as an error."""
    import numpy as np
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce")
    if (invalid := column[values.isna() & column.notna()]).size:
        messages.append(
            f"column {column.name!r}: {invalid.size} values are not numbers, such as {str(invalid.iloc[0])!r}; correct "
            "them, or remove the column"
        )
    return values.astype("float64").replace([np.inf, -np.inf], np.nan)


def some(names: list[str], shown: int = 5) -> str:
    """Return the first names as text, and the number of the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
