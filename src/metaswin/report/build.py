"""Build the report: one HTML file that opens offline, tables as CSV, figures as SVG and PDF."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metaswin.files import atomic, write_text
from metaswin.report import figures, paper, tables, words
from metaswin.report.data import Endpoint, ReportData, read_report_data
from metaswin.report.facts import machine, settings_hash, times, versions
from metaswin.report.numbers import arm_name, count, days, listed, seconds
from metaswin.report.settings import ReportSettings

if TYPE_CHECKING:
    import jinja2

MANY = 12
SOURCES = {"rtstruct": "RTSTRUCT", "seg": "DICOM SEG", "nifti": "NIfTI mask", "nnunet": "automatic (nnU-Net)"}


def build_report(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    settings: ReportSettings,
    config: Mapping[str, Any],
    benchmarks: str | Path,
) -> None:
    """Write the report.

    Parameters
    ----------
    inputs : mapping
        See `metaswin.report.data.read_report_data`.
    outputs : mapping
        ``html`` (path), ``tables`` and ``figures`` (folders; the names of the files are those of
        `metaswin.report.files`).
    settings : ReportSettings
    config : mapping
        The configuration as plain values, see `metaswin.report.files.portable`.
    benchmarks : path
        Folder with Snakemake's benchmark files; it may be absent.
    """
    data = read_report_data(inputs, config)
    run = {
        "versions": versions(),
        "machine": machine(),
        "seed": config["seed"],
        "settings_hash": settings_hash(config),
        "times": times(benchmarks),
        "date": datetime.now(UTC).date().isoformat(),
    }
    _write_tables(data, run["times"], Path(outputs["tables"]))
    views = [_view(endpoint, data, settings, config, Path(outputs["figures"])) for endpoint in data.endpoints]
    cohort = _cohort(data)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=settings.title,
            data=data,
            views=views,
            cohort=cohort,
            limits=words.limits(data, config),
            methods=words.methods(data, config, run["versions"]),
            run=run,
            style=_resource("report.css"),
            script=_resource("report.js"),
        )
    )
    write_text(outputs["html"], page)


def _write_tables(data: ReportData, spent: pd.DataFrame, folder: Path) -> None:
    common = {
        "problems": data.problems,
        "deaths": pd.concat([endpoint.tables["deaths"] for endpoint in data.endpoints]),
        "times": spent,
    }
    found = {f"{name}.csv": table for name, table in common.items()}
    for endpoint in data.endpoints:
        found |= {f"{name}-{endpoint.name}.csv": table for name, table in tables.csv_tables(endpoint).items()}
    for name, table in found.items():
        with atomic(folder / name) as temporary:
            table.to_csv(temporary, index=False)


def _view(
    endpoint: Endpoint,
    data: ReportData,
    settings: ReportSettings,
    config: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """What the template shows of one endpoint."""
    modalities = tables.modality_rows(endpoint, settings.paper)
    comparisons = [
        {
            "name": endpoint.label(arm),
            "head": head,
            "auc": endpoint.metric(arm, head),
            "found": endpoint.difference(arm, head),
        }
        for arm in endpoint.controls()
        for head in sorted(endpoint.summary.loc[[arm]].index.get_level_values("head"), reverse=True)
    ]
    training = figures.training_figure(endpoint, folder / f"training-{endpoint.name}") if endpoint.training else ""
    return {
        "endpoint": endpoint,
        "outcome": words.outcome_words(endpoint),
        "answer": words.answer(endpoint),
        "headline": endpoint.metric(endpoint.headline, endpoint.head),
        "note": words.metric_note(endpoint),
        "label_rule": words.label_rule(endpoint),
        "volume_statement": words.volume_statement(endpoint),
        "modalities": modalities,
        "paper": paper if any(row["paper"] for row in modalities) else None,
        "ablation": tables.ablation_rows(endpoint),
        "comparisons": comparisons,
        "strata": tables.strata_rows(endpoint),
        "strata_arms": [(endpoint.label(arm), head) for arm, head in tables.strata_arms(endpoint)],
        "selected": tables.selected_features(endpoint, settings.selected_features),
        "steps": tables.selection_steps(endpoint),
        "patients": tables.patient_rows(endpoint).to_dict("records"),
        "roc": figures.roc_figure(endpoint, folder / f"roc-{endpoint.name}"),
        "arms": figures.arms_figure(endpoint, folder / f"arms-{endpoint.name}"),
        "training": training,
        "training_note": words.training_note(endpoint),
        "deaths": endpoint.tables["deaths"].to_dict("records"),
    }


def _cohort(data: ReportData) -> dict[str, Any]:
    problems = data.problems
    left, warned = problems[problems["excludes"]], problems[~problems["excludes"]]
    facts = []
    for column, title in [("manufacturer", "Scanners"), ("tumor_source", "Contours")]:
        if column in data.used:
            counts = data.used[column].fillna("unknown").value_counts()
            facts.append((title, listed([f"{SOURCES.get(name, name)} {n}" for name, n in counts.items()])))
    if "volume_tumor_mm3" in data.used:
        cubic = data.used["volume_tumor_mm3"].dropna() / 1000
        if len(cubic):
            low, middle, high = cubic.quantile([0.25, 0.5, 0.75])
            facts.append(("Tumour volume", f"median {middle:.1f} cm³ (quartiles {low:.1f} to {high:.1f})"))
    return {
        "counts": tables.problem_counts(data),
        "excluded": left.to_dict("records"),
        "warnings": warned.to_dict("records"),
        "facts": facts,
        "many": MANY,
    }


def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"days": days, "seconds": seconds, "arm": arm_name, "listed": listed}
    environment.globals["count"] = count
    return environment


def _resource(name: str) -> str:
    return (resources.files("metaswin.report") / "templates" / name).read_text(encoding="utf-8")
