"""All problems of a run as text for the local user, with what is kept private."""

from pathlib import Path

from metaswin.errors import UserError
from metaswin.files import read_json, read_table

TABLES = ["cohort/exclusions.parquet", "features/problems.parquet"]


def listing(directory: str | Path, results: str = "results", private: str = "private") -> str:
    """Text with one paragraph a problem: the public part, then paths and ROI names as found.

    Raises
    ------
    UserError
        When the run has no table of problems yet.
    """
    folder = Path(directory)
    tables = [folder / results / name for name in TABLES if (folder / results / name).exists()]
    if not tables:
        early = folder / results / "cohort/ingest_problems.parquet"
        if not early.exists():
            raise UserError(f"no problems table below {folder / results}; run the workflow there first")
        tables = [early]
    lines = []
    for table in tables:
        for row in read_table(table).to_dict("records"):
            effect = "excluded" if row["excludes"] else "warning"
            lines.append(f"{row['patient'] or 'cohort'}  {row['stage']}  {row['code']}  ({effect})")
            lines += [
                f"    found     {row['found']}",
                f"    expected  {row['expected']}",
                f"    do        {row['action']}",
            ]
            detail = folder / private / "details" / row["detail"]
            if row["detail"] and detail.exists():
                lines += [f"    private   {d['private']}" for d in read_json(detail) if d["code"] == row["code"]]
    return "\n".join(lines) or "no problems"
