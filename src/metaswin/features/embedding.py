"""Import a table of embeddings, and read what is known about the embeddings of a run."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.core.errors import UserError, several
from metaswin.core.files import metadata_of, write_table
from metaswin.core.problems import Problem, public_table, save_details
from metaswin.core.used import used_patients
from metaswin.features.importing import ID, numbers_of, read_raw, rows_of, some

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("metaswin.features")

STAGE = "embedding"
# Key in the schema metadata of ``features/embedding.parquet``; a table has no encoder and therefore not this key.
SHA256 = "encoder_sha256"


def import_embedding(
    table: str, used: str, output: str, problems: str, details: str | Path, pseudonym: Callable[[str], str] = str
) -> None:
    """Write the embeddings of a user's table in the form in which `extract_embedding` writes those of an encoder.

    Parameters
    ----------
    table : str
        CSV or Parquet: ``patient_id`` and one column of numbers for each dimension.
    used : str
        ``cohort/used.parquet``.
    output, problems : str
        Outputs: ``patient`` and the columns of the table for the used patients, and the table of problems. A patient
        without a row has missing values and a problem that does not exclude the patient.
    details : str or Path
        Folder of private details.
    pseudonym : callable
        Function that returns the pseudonym of a study id.

    Raises
    ------
    UserError
        If the table has errors. The message lists all of them.
    """
    patients = used_patients(used)
    values, unused = read_embedding(table, patients, pseudonym)
    lacking = sorted(set(patients) - set(values.dropna(how="all").index))
    found = [
        Problem(
            patient,
            STAGE,
            "no-embedding",
            found="no values in the table of embeddings",
            expected="a row with the embedding of the patient",
            action="add the row; until then the embedding counts as missing",
            excludes=False,
        )
        for patient in lacking
    ]
    logger.info("%d of %d patients have an embedding", len(patients) - len(lacking), len(patients))
    if unused:
        logger.info("%d rows of the table belong to other patients", len(unused))
    save_details(found, Path(details))
    write_table(output, values.reindex(patients).rename_axis("patient").reset_index())
    write_table(problems, public_table(found))


def read_embedding(
    path: str, patients: list[str], pseudonym: Callable[[str], str] = str
) -> tuple["pd.DataFrame", list[str]]:
    """Read and check a table of embeddings.

    Returns
    -------
    values : DataFrame
        Rows of `patients` that the table has; index ``patient``, float64. A row is complete or has no value.
    unused : list of str
        Ids of the other rows.

    Raises
    ------
    UserError
        If a part is unreadable, duplicated, not numeric or incomplete, or if no id is known. The message lists all
        errors.
    """
    import pandas as pd

    raw, unused, messages = rows_of(read_raw(path, "embedding.table", "table of embeddings"), patients, pseudonym)
    if raw.index.empty:
        messages.append(
            f"none of its {len(unused)} ids is a patient of the cohort; compare {ID} with the ids of the clinical table"
        )
    if raw.columns.empty:
        messages.append(f"no column except {ID}; add one column per dimension of the embedding")
    values = pd.DataFrame({name: numbers_of(raw[name], messages) for name in raw.columns}, index=raw.index)
    # The message about a column of text is enough; its rows do not also count as incomplete.
    known = values[[name for name in raw.columns if pd.api.types.is_numeric_dtype(raw[name])]].notna()
    partly = known.any(axis="columns") & ~known.all(axis="columns")
    if partly.any():
        messages.append(
            f"{partly.sum()} rows lack some of their values ({some(sorted(values.index[partly]))}); complete the rows, "
            "or remove them"
        )
    if messages:
        raise several(f"The table of embeddings {path} has errors:", messages)
    return values, unused


def embedding_columns(path: str) -> list[str]:
    """Return the columns of a user's table of embeddings, for the check of a new table.

    Raises
    ------
    UserError
        If the table cannot be read.
    """
    raw = read_raw(path, "embedding.table", "table of embeddings")
    return [name for name in raw.columns if name != ID]


def embedding_facts(path: str) -> dict[str, Any]:
    """Return what a bundle states about ``features/embedding.parquet``: ``sha256`` of the encoder, and ``columns``.

    Embeddings of a user's table have no hash. Those of an encoder have no columns, because the hash is sufficient.
    """
    import pyarrow.parquet as pq

    sha256 = metadata_of(path).get(SHA256)
    columns = [] if sha256 else [name for name in pq.read_schema(path).names if name != "patient"]
    return {"sha256": sha256, "columns": columns}


def check_same_encoder(path: str, wanted: str | None) -> None:
    """Check that embeddings come from the encoder of a bundle.

    Raises
    ------
    UserError
        If they come from another one.
    """
    found = metadata_of(path).get(SHA256)
    if found != wanted:
        raise UserError(different_encoder(found, wanted))


def different_encoder(found: str | None, wanted: str | None) -> str:
    """Return the message about an encoder that is not the one of the bundle."""
    return (
        f"embedding.model: found a file with the SHA-256 {found or 'none (a table)'}, but the models were trained with "
        f"{wanted or 'none (a table)'}; give the same file"
    )
