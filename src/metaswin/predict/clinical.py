"""The clinical table of the new patients: everybody found in the data or in the table has a row."""

import csv
from collections.abc import Mapping, Sequence

from metaswin.clinical.settings import ClinicalSettings
from metaswin.clinical.table import read_rows
from metaswin.files import atomic, read_table
from metaswin.ingest.sheets import read_feature_ids, read_sheet


def prepare_clinical(
    inputs: Mapping[str, str | None],
    output: str,
    settings: ClinicalSettings,
    also: Sequence[str],
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the table that ingest reads; values stay as the user wrote them, but for blanks around them.

    Who has data but no row gets an empty one: other arms can predict these. A column that the user's table lacks is
    empty.

    Parameters
    ----------
    inputs : mapping
        Paths of ``clinical`` (the user's table) and of ``index`` (private series of the DICOM files), ``sheet`` or
        ``features``, where there are any.
    output : str
    settings : ClinicalSettings
    also : sequence of str
        Columns that other settings name.
    names : mapping or None
        Pseudonym → id, where pseudonyms stand in the index: the table holds the ids.
    """
    identifier = settings.id.strip()
    header, lines = read_rows(inputs["clinical"]) if inputs.get("clinical") else ([identifier], [])
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    known = {row[identifier] for row in rows}
    found = [(names or {}).get(patient, patient) for patient in _found(inputs)]
    rows += [{identifier: patient} for patient in found if patient not in known]
    wanted = [name.strip() for name in (*settings.columns, *also)]
    columns = list(dict.fromkeys([*header, *wanted]))
    with atomic(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _found(inputs: Mapping[str, str | None]) -> list[str]:
    """Ids in the data, sorted."""
    if inputs.get("index"):
        table = read_table(inputs["index"], columns=["patient", "usable"])
        return sorted({patient for patient in table.loc[table["usable"].astype(bool), "patient"] if patient})
    if inputs.get("sheet"):
        return sorted(read_sheet(inputs["sheet"]).rows)
    if inputs.get("features"):
        return sorted(read_feature_ids(inputs["features"])[0])
    return []
