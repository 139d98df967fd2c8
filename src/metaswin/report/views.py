"""What the templates show: one view of the cohort and one an endpoint."""

from collections.abc import Mapping
from typing import Any

from metaswin.report import answer, controls, evidence, explanation, figures, forest, paper, survival, tables, words
from metaswin.report.absent import not_run
from metaswin.report.baseline import SOURCES, baseline_rows
from metaswin.report.charts import Chart
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.numbers import listed
from metaswin.report.patients import patients_view
from metaswin.report.settings import ReportSettings

MANY = 12


def endpoint_view(
    endpoint: Endpoint, data: ReportData, settings: ReportSettings, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the templates show of one endpoint.

    ``figures`` are the charts that are written as files too; ``charts`` those of them that the page shows.
    """
    modalities = tables.modality_rows(endpoint, settings.paper)
    arms = forest.arms_forest(endpoint)
    charts = _charts(endpoint)
    return {
        "endpoint": endpoint,
        "outcome": words.outcome_words(endpoint),
        "answer": answer.answer(endpoint),
        "answer_forest": forest.answer_forest(endpoint),
        "headline": endpoint.metric(endpoint.headline, endpoint.head),
        "note": words.metric_note(endpoint),
        "label_rule": words.label_rule(endpoint),
        "volume_statement": answer.volume_statement(endpoint),
        "volume_suffices": answer.volume_suffices(endpoint),
        "baseline": baseline_rows(endpoint, data),
        "modalities": modalities,
        "paper": paper if any(row["paper"] for row in modalities) else None,
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
        "shap_modalities": explanation.modality_rows(endpoint),
        "shap_features": explanation.feature_rows(endpoint, settings.selected_features),
        "maps": data.maps.get(endpoint.name, []),
        "not_run": not_run(endpoint, data, config),
        "strata": tables.strata_rows(endpoint),
        "strata_arms": [(endpoint.label(arm), head) for arm, head in tables.strata_arms(endpoint)],
        "selected": tables.selected_features(endpoint, settings.selected_features),
        "steps": tables.selection_steps(endpoint),
        "stability": {row["set"]: row for row in tables.stability_rows(endpoint)},
        "patients": patients_view(endpoint).to_dict("records"),
        "arms": arms,
        "charts": {kind: chart for kind, chart in charts.items() if _shown(kind, chart, endpoint)},
        "figures": [arms, *charts.values()],
        "training_note": words.training_note(endpoint) if endpoint.training else "",
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
    """Whether the page shows a chart: not one of evidence that was not run."""
    return bool(chart.series) or (kind in figures.CURVES and kind in endpoint.tables)


def cohort_view(data: ReportData) -> dict[str, Any]:
    """Flow, exclusions and facts of the cohort."""
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
