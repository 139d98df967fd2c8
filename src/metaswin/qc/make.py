"""Write the page and the table of the quality control."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.clinical.settings import ClinicalSettings, EndpointSettings
from metaswin.files import atomic, write_table, write_text
from metaswin.problems import save_details
from metaswin.qc.collect import Qc, collect
from metaswin.qc.gate import ends
from metaswin.qc.settings import QcSettings
from metaswin.report.environment import environment, resource

MANY = 12  # rows from which on a table scrolls, codes from which on the flow names the most frequent


def make_qc(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    clinical: ClinicalSettings,
    endpoints: Mapping[str, EndpointSettings],
    settings: QcSettings,
    single_column_auc: float,
    folds: int,
    details: str | Path,
) -> None:
    """Write ``html`` (one offline file), ``table`` (Parquet) and ``csv``.

    Parameters
    ----------
    inputs, clinical, endpoints, single_column_auc, folds
        See `metaswin.qc.collect.collect`.
    outputs : mapping
        The three paths.
    settings : QcSettings
    details : path
        Folder of the problems' private part.
    """
    qc = collect(inputs, clinical, endpoints, single_column_auc, folds)
    save_details(qc.new, Path(details))
    write_table(outputs["table"], qc.problems)
    with atomic(outputs["csv"]) as temporary:
        qc.problems.to_csv(temporary, index=False)
    write_text(outputs["html"], _page(qc, settings))


def _page(qc: Qc, settings: QcSettings) -> str:
    out = qc.problems[qc.problems["excludes"]]
    warned = qc.problems[~qc.problems["excludes"]]
    template = environment("metaswin.qc").get_template("qc.html.j2")
    return template.render(
        qc=qc,
        stop=settings.on_problem == "stop",
        stopping=int(qc.problems["stops"].sum()),
        ended=ends(qc.problems).to_dict("records"),
        out=out.to_dict("records"),
        warned=warned.to_dict("records"),
        codes=_by_code(qc.problems),
        series=_series(qc.series),
        summary=_summary(qc.series),
        many=MANY,
        style=resource("report.css"),
        script=resource("report.js"),
    )


def _by_code(problems: pd.DataFrame) -> list[dict[str, Any]]:
    """One row a code: how many patients, what is expected, what to do; excluding codes first."""
    groups = problems.groupby(["excludes", "stage", "code"], sort=False)
    rows = [
        {
            "excludes": bool(excludes), "stage": stage, "code": code, "patients": len(set(rows["patient"]) - {""}),
            "stops": bool(rows["stops"].any()), **rows.iloc[0][["found", "expected", "action"]],
        }
        for (excludes, stage, code), rows in groups
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (not row["excludes"], -row["patients"], row["code"]))


def _series(series: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the table of chosen CTs; what is unknown is None."""
    return series.astype(object).where(series.notna(), None).to_dict("records")


def _summary(series: pd.DataFrame) -> list[tuple[str, list[tuple[str, int]]]]:
    """How often each manufacturer, kernel and slice distance was chosen, the most frequent first."""
    if series.empty:
        return []
    distances = series["slice_spacing"].map(lambda value: "unknown" if pd.isna(value) else f"{value:g} mm")
    facts = [
        ("Manufacturer", series["manufacturer"]),
        ("Model", series["model"]),
        ("Kernel", series["kernel"]),
        ("Slice distance", distances),
    ]
    counts = [(name, column.replace("", "unknown").fillna("unknown").value_counts()) for name, column in facts]
    return [(name, list(found.items())[:6]) for name, found in counts]
