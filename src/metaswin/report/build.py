"""Build the report: one HTML file that opens offline, tables as CSV, figures as SVG and PDF."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from metaswin.config.report import ReportSettings
from metaswin.core.files import atomic, write_text
from metaswin.core.formatting import listed
from metaswin.core.pages import environment, resource
from metaswin.report import controls, evidence, facts, figures, notes, summary, survival, tables
from metaswin.report.baseline import SOURCES, baseline_rows
from metaswin.report.charts import Chart
from metaswin.report.checklists import Checklist, filled
from metaswin.report.data import Endpoint, ReportData, ReportInputs, read_report_data
from metaswin.report.evidence import coverage_in_time, coverage_rows
from metaswin.report.facts import machine, settings_hash, times, versions
from metaswin.report.methods import methods
from metaswin.report.notes import not_run
from metaswin.report.statements import conditions, statements
from metaswin.report.svg import chart_svg, scale_svg, swatch, track_svg, write_figure
from metaswin.report.tables import patient_rows

# Limit for all QC images together. base64 makes them a third larger, and the page stays below 15 MB.
QC_IMAGE_BYTES = 7_000_000


def patients_view(endpoint: Endpoint) -> pd.DataFrame:
    """Return the test predictions of the primary model with their errors.

    ``wrong`` is |outcome − predicted risk|. It is missing if the outcome is unknown.
    """
    table = patient_rows(endpoint)
    return table.assign(wrong=(table["label"].astype("float64") - table["probability"]).abs())


def chosen_qc_images(data: ReportData, most: int) -> dict[str, Path]:
    """Choose the QC images of the page, at most `most` images and `QC_IMAGE_BYTES`.

    For each endpoint, the patients with the highest risks and with the most wrong predictions come first.

    Parameters
    ----------
    data : ReportData
    most : int
        Largest number of patients with a QC image in the page.
    """
    found: dict[str, Path] = {}
    size = 0
    for patient in _by_interest(data.endpoints):
        path = data.qc_images.get(patient)
        if path is None or patient in found or len(found) == most:
            continue
        size += path.stat().st_size
        if size > QC_IMAGE_BYTES:
            break
        found[patient] = path
    return found


def embedded(path: Path) -> str:
    """Return an image as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _by_interest(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the patients of all endpoints, alternating highest risk and most wrong, each patient once."""
    queues: list[list[Any]] = []
    for endpoint in endpoints:
        table = patients_view(endpoint)
        queues.append(table["patient"].tolist())
        queues.append(table.sort_values("wrong", ascending=False, kind="stable")["patient"].tolist())
    longest = max(map(len, queues), default=0)
    order = (queue[k] for k in range(longest) for queue in queues if k < len(queue))
    return list(dict.fromkeys(order))


MANY = 12


def endpoint_view(
    endpoint: Endpoint, data: ReportData, settings: ReportSettings, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that the templates show for one endpoint.

    ``figures`` are the charts that are also written as files. ``charts`` are those of them that the page shows.
    """
    modalities = tables.modality_rows(endpoint, settings.paper)
    feature_sets = figures.feature_sets_forest(endpoint)
    charts, centres = _charts(endpoint), figures.centres_forest(endpoint)
    return {
        "endpoint": endpoint,
        "outcome": notes.outcome_words(endpoint),
        "summary": summary.summarise(endpoint),
        "summary_forest": figures.summary_forest(endpoint),
        "primary": endpoint.metric(endpoint.primary, endpoint.classifier),
        "note": notes.metric_note(endpoint),
        "label_rule": notes.label_rule(endpoint),
        "volume_statement": summary.volume_statement(endpoint),
        "volume_suffices": summary.volume_suffices(endpoint),
        "baseline": baseline_rows(endpoint, data),
        "modalities": modalities,
        "paper": facts if any(row["paper"] for row in modalities) else None,
        "ablation": tables.ablation_rows(endpoint),
        "more_metrics": [name for name in tables.MORE_METRICS if endpoint.has(name)],
        "confusion": tables.confusion(endpoint),
        "comparisons": evidence.comparison_rows(endpoint),
        "controls": controls.control_table(endpoint),
        "optimism": evidence.optimism_rows(endpoint),
        "deep_score": evidence.deep_score_note(endpoint),
        "sample_size": evidence.sample_size_rows(endpoint),
        "delong": evidence.delong_rows(endpoint),
        "site": evidence.site_rows(endpoint),
        "survival": survival.metric_rows(endpoint),
        "survival_tests": survival.test_rows(endpoint),
        "shap_modalities": evidence.modality_rows(endpoint),
        "shap_features": evidence.feature_rows(endpoint, settings.selected_features),
        "maps": data.maps.get(endpoint.name, []),
        "not_run": not_run(endpoint, data, config),
        "strata": tables.strata_rows(endpoint),
        "strata_feature_sets": [
            (endpoint.label(feature_set), classifier)
            for feature_set, classifier in tables.strata_feature_sets(endpoint)
        ],
        "selected": tables.selected_features(endpoint, settings.selected_features),
        "importance": "AUC alone" if config["selection"]["method"] == "auc" else "Importance",
        "steps": tables.selection_steps(endpoint),
        "stability": {row["modality"]: row for row in tables.stability_rows(endpoint)},
        "patients": patients_view(endpoint).to_dict("records"),
        "feature_sets": feature_sets,
        "charts": {kind: chart for kind, chart in charts.items() if _shown(kind, chart, endpoint)},
        "figures": [feature_sets, *charts.values(), *([centres] if centres else [])],
        "centres": tables.centre_rows(endpoint),
        "spread": tables.spread_rows(endpoint),
        "centres_forest": centres,
        "training_note": notes.training_note(endpoint) if endpoint.training else "",
        "deaths": endpoint.tables["deaths"].to_dict("records"),
    }


def _charts(endpoint: Endpoint) -> dict[str, Chart]:
    found = figures.curves_of(endpoint)
    if endpoint.training:
        found.append(figures.training_chart(endpoint))
    found += survival.survival_charts(endpoint)
    permuted = controls.permutation_chart(endpoint)
    found += [permuted] if permuted else []
    return {chart.name.removesuffix(f"-{endpoint.name}"): chart for chart in found}


def _shown(kind: str, chart: Chart, endpoint: Endpoint) -> bool:
    """Return whether the page shows a chart; charts of analyses that were not run are not shown."""
    return bool(chart.series) or (kind in figures.CURVES and kind in endpoint.tables)


def cohort_view(data: ReportData) -> dict[str, Any]:
    """Return flow, exclusions and facts of the cohort."""
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
        "reviewed": [(notes.REVIEWED[code], len(who)) for code, who in data.reviewed.items() if who],
    }


@dataclass(frozen=True)
class ReportOutputs:
    """Name the page and the folders of tables and figures; `metaswin.report.files` names the files in them."""

    html: Path
    tables: Path
    figures: Path


def build_report(
    inputs: ReportInputs,
    outputs: ReportOutputs,
    settings: ReportSettings,
    config: Mapping[str, Any],
    benchmarks: str | Path,
) -> None:
    """Write the report.

    Parameters
    ----------
    inputs : ReportInputs
    outputs : ReportOutputs
    settings : ReportSettings
    config : mapping
        The configuration as plain values, see `metaswin.report.files.portable`.
    benchmarks : path
        Folder with Snakemake's benchmark files. It may be absent.
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
    lists = filled(statements(data, config), conditions(data, config))
    views = [endpoint_view(endpoint, data, settings, config) for endpoint in data.endpoints]
    _write_tables(data, run["times"], lists, outputs.tables)
    for view in views:
        for figure in view["figures"]:
            write_figure(figure, outputs.figures)
    qc_images = {patient: embedded(path) for patient, path in chosen_qc_images(data, settings.qc_images).items()}
    templates = environment("metaswin.report")
    templates.globals |= {
        "picture": lambda path: Markup(embedded(path)),
        "chart_svg": lambda chart: Markup(chart_svg(chart)),
        "swatch": lambda style: Markup(swatch(style)),
        "track": lambda forest, number: Markup(track_svg(forest, number)),
        "scale": lambda forest: Markup(scale_svg(forest)),
    }
    page = templates.get_template("page.html.j2").render(
        title=settings.title,
        data=data,
        views=views,
        cohort=cohort_view(data),
        limits=notes.limits(data, config),
        methods=methods(data, config, run["versions"]),
        checklists=lists,
        coverage=coverage_rows(),
        in_time=coverage_in_time() if any(view["survival"] for view in views) else None,
        run=run,
        qc_images=qc_images,
        style=resource("report.css"),
        script=resource("report.js"),
    )
    write_text(outputs.html, page)


def _write_tables(data: ReportData, spent: pd.DataFrame, lists: list[Checklist], folder: Path) -> None:
    items = [{"list": one.name, **vars(item)} for one in lists for item in one.items]
    found = {
        "problems.csv": data.problems,
        "deaths.csv": pd.concat([endpoint.tables["deaths"] for endpoint in data.endpoints]),
        "times.csv": spent,
        "checklists.csv": pd.DataFrame(items),
    }
    for endpoint in data.endpoints:
        found |= {f"{name}-{endpoint.name}.csv": table for name, table in tables.csv_tables(endpoint, data).items()}
    for name, table in found.items():
        with atomic(folder / name) as temporary:
            table.to_csv(temporary, index=False)
