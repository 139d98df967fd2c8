"""All problems of a run as text for the local user, with what is kept private."""

from pathlib import Path
from typing import Any

from metaswin.errors import UserError
from metaswin.files import read_json, read_table
from metaswin.ingest.pseudonyms import MAP, read_map

TABLES = ["cohort/exclusions.parquet", "features/problems.parquet"]
EARLY = ["cohort/qc.parquet", "cohort/early_problems.parquet"]  # the first that is there holds the other


def listing(directory: str | Path, results: str = "results", private: str = "private") -> str:
    """Text with one paragraph a problem: the public part, then paths and ROI names as found; exclusions come first.

    A run that ended before its cohort was built has no table yet: then the private details alone are listed.

    Raises
    ------
    UserError
        When the run has neither.
    """
    folder = Path(directory)
    details = folder / private / "details"
    tables = [path for name in TABLES if (path := folder / results / name).exists()]
    tables = tables or [path for name in EARLY if (path := folder / results / name).exists()][:1]
    if not tables:
        return _details_only(details, folder / results)
    rows = [row for table in tables for row in read_table(table).to_dict("records")]
    rows.sort(key=lambda row: not row["excludes"])
    names = read_map(folder / private / MAP)
    return "\n".join(line for row in rows for line in _paragraph(row, details, names)) or "no problems"


def _paragraph(row: dict[str, Any], details: Path, names: dict[str, str]) -> list[str]:
    effect = "excluded" if row["excludes"] else "warning"
    own = f" = {names[row['patient']]}" if row["patient"] in names else ""
    lines = [
        f"{row['patient'] or 'cohort'}{own}  {row['stage']}  {row['code']}  ({effect})",
        f"    found     {row['found']}",
        f"    expected  {row['expected']}",
        f"    do        {row['action']}",
    ]
    path = details / row["detail"]
    if row["detail"] and path.exists():
        lines += [f"    private   {d['private']}" for d in read_json(path) if d["code"] == row["code"]]
    return lines


def _details_only(details: Path, results: Path) -> str:
    lines = []
    for path in sorted(details.rglob("*.json")):
        for detail in read_json(path):
            lines.append(f"{path.stem}  {path.parent.name}  {detail['code']}")
            lines.append(f"    private   {detail['private']}")
    if not lines:
        raise UserError(f"no problems table below {results}; run the workflow there first")
    return "\n".join(lines)
