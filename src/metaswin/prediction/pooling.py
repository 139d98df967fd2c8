"""Pool the external validations of several cohorts by a random-effects meta-analysis."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import norm

from metaswin.core.files import atomic, read_json, read_table, write_json, write_table, write_text
from metaswin.core.formatting import count, number
from metaswin.evaluation.meta_analysis import FEWEST, FEWEST_TO_PREDICT, Pooled, pool
from metaswin.prediction.bundle import Bundle
from metaswin.prediction.external import SCALES
from metaswin.prediction.validation_page import NAMES, CohortResult, pooled_page
from metaswin.report.charts import MUTED, PRIMARY, Forest, ForestRow
from metaswin.report.svg import write_figure

COLUMNS = {
    "endpoint": "str", "metric": "str", "cohorts": "int64", "value": "float64", "low": "float64", "high": "float64",
    "predicted_low": "float64", "predicted_high": "float64", "tau2": "float64", "i2": "float64", "q": "float64",
    "p": "float64", "why": "str", "not_pooled": "str",
}  # fmt: skip
# Axis of the forest plots: its reference line, and the limits to which intervals are clipped.
DRAWN = {"auc": (0.5, 0.0, 1.0), "observed_expected": (1.0, 0.0, 4.0)}


def cohort_names(outputs: Sequence[Path]) -> list[str]:
    """Return the names of the cohorts, which are the names of their folders, numbered if they are equal."""
    total, seen, names = Counter(output.name for output in outputs), Counter[str](), []
    for output in outputs:
        seen[output.name] += 1
        names.append(f"{output.name} ({seen[output.name]})" if total[output.name] > 1 else output.name)
    return names


def pool_cohorts(bundle: Bundle, cohorts: Mapping[str, Path], folder: Path) -> Path:
    """Write ``pooled.parquet``, ``pooled.csv``, forest plots and one page with all cohorts; return the page.

    All predicted patients of each cohort are used. A cohort without a standard error (only one outcome, or an AUC of 0
    or 1) is shown but not pooled.

    Parameters
    ----------
    bundle : Bundle
    cohorts : mapping
        Name of each cohort → folder of `metaswin predict`, with its validation.
    folder : Path
    """
    found = {name: _read(output) for name, output in cohorts.items()}
    confidence = bundle.facts["confidence"]
    names = [name for name in bundle.endpoints if any(name in result.views for result in found.values())]
    records, forests = [], {}
    for endpoint in names:
        rows = {name: result.metrics_of(endpoint) for name, result in found.items()}
        for metric in SCALES:
            record = pooled_metric({name: table.loc[metric] for name, table in rows.items() if len(table)},
                                   metric, confidence)  # fmt: skip
            records.append({**record, "endpoint": endpoint, "metric": metric})
            if metric in DRAWN:
                forests[endpoint, metric] = _forest(bundle, endpoint, metric, found, record)
    table = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
    write_table(folder / "pooled.parquet", table)
    with atomic(folder / "pooled.csv") as temporary:
        table.to_csv(temporary, index=False)
    for forest in forests.values():
        write_figure(forest, folder)
    repeated = _repeated(cohorts.values())
    write_json(
        folder / "facts.json", {"bundle": bundle.fingerprint, "cohorts": list(cohorts), "repeated_ids": repeated}
    )
    write_text(folder / "validation.html", pooled_page(bundle, found, table, forests, repeated))
    return folder / "validation.html"


def pooled_metric(rows: Mapping[str, Mapping[str, Any]], metric: str, confidence: float) -> dict[str, Any]:
    """Pool one metric over cohorts, see `COLUMNS`.

    The estimates are on the scale of the metric, and tau² is on the scale of pooling.

    Parameters
    ----------
    rows : mapping
        Cohort → ``value, se, why``, see `metaswin.prediction.external`.
    metric : str
    confidence : float
    """
    found = {name: _scaled(row, metric) for name, row in rows.items()}
    usable = {name: at for name, at in found.items() if at is not None}
    left = [f"{name} ({_reason(row)})" for name, row in rows.items() if name not in usable]
    record: dict[str, Any] = dict.fromkeys(COLUMNS)
    record |= {"cohorts": len(usable), "not_pooled": "; ".join(left), "why": ""}
    if len(usable) < FEWEST:
        return record | {"why": f"{count(len(usable), 'cohort')} with a standard error, fewer than {FEWEST}"}
    result = pool([at for at, _ in usable.values()], [se for _, se in usable.values()], confidence)
    record |= _own_scale(result, metric)
    if result.predicted_low is None:
        record["why"] = f"no prediction interval: {count(result.k, 'cohort')}, fewer than {FEWEST_TO_PREDICT}"
    return record


def _scaled(row: Mapping[str, Any], metric: str) -> tuple[float, float] | None:
    """Return value and standard error on the scale of pooling; None if they do not exist."""
    value, se = number(row["value"]), number(row["se"])
    if value is None or se is None or not se > 0:
        return None
    return float(SCALES[metric].to(value)), se


def _reason(row: Mapping[str, Any]) -> str:
    value = number(row["value"])
    return str(row["why"]) if value is None else f"{value:g} has no standard error"


def _own_scale(result: Pooled, metric: str) -> dict[str, Any]:
    back = SCALES[metric].back
    limits = {name: getattr(result, name) for name in ("value", "low", "high", "predicted_low", "predicted_high")}
    found = {name: None if value is None else float(back(value)) for name, value in limits.items()}
    return found | {name: getattr(result, name) for name in ("tau2", "i2", "q", "p")}


def _forest(
    bundle: Bundle, endpoint: str, metric: str, found: Mapping[str, CohortResult], record: Mapping[str, Any]
) -> Forest:
    """Draw the cohorts, their mean with its prediction interval, and the internal value of the training run."""
    rows = []
    for name, result in found.items():
        table = result.metrics_of(endpoint)
        if len(table):
            row, counts = table.loc[metric], result.counts_of(endpoint)
            value, low, high = _limits(row, metric, bundle.facts["confidence"])
            label = f"{name}: {count(counts['n'], 'patient')}, {count(counts['events'], 'event')}"
            rows.append(ForestRow(label, "Cohorts", value, low, high, str(row["why"])))
    if (mean := number(record["value"])) is not None:
        label = f"Mean of {record['cohorts']} cohorts"
        rows.append(ForestRow(label, "Pooled", mean, record["low"], record["high"], colour=PRIMARY))
        if (low := record["predicted_low"]) is not None:
            label = "Prediction interval for another cohort"
            rows.append(ForestRow(label, "Pooled", mean, low, record["predicted_high"], colour=MUTED))
    facts = bundle.endpoints[endpoint]
    inside = facts["internal"][facts["primary"]].get(metric)
    if inside and inside["value"] is not None:
        rows.append(ForestRow("Held-out folds", "Training run", inside["value"], inside["low"], inside["high"]))
    reference, least, most = DRAWN[metric]
    ends = [x for row in rows for x in (row.value, row.low, row.high) if x is not None] + [reference]
    low = max(least, math.floor(10 * min(ends)) / 10)
    high = min(most, math.ceil(10 * max([*ends, low + 0.1])) / 10)
    title = f"{NAMES[metric]} of {endpoint} by cohort"
    label = f"{NAMES[metric]} with {bundle.facts['confidence']:.0%} interval"
    return Forest(f"{metric}-{endpoint}", title, label, (low, high), rows, reference)


def _limits(row: Mapping[str, Any], metric: str, confidence: float) -> tuple[float | None, float | None, float | None]:
    """Return the value of a cohort with the interval from its standard error."""
    found = _scaled(row, metric)
    if found is None:
        return number(row["value"]), None, None
    back, reach = SCALES[metric].back, float(norm.ppf((1 + confidence) / 2)) * found[1]
    return number(row["value"]), float(back(found[0] - reach)), float(back(found[0] + reach))


def _read(output: Path) -> CohortResult:
    folder = output / "results/validation"
    views = {view["name"]: view for view in read_json(folder / "facts.json")["endpoints"]}
    return CohortResult(views, read_table(folder / "metrics.parquet"), read_table(folder / "calibration.parquet"))


def _repeated(outputs: Iterable[Path]) -> int:
    """Return the number of ids that were predicted in more than one cohort."""
    ids = Counter[str]()
    for output in outputs:
        table = read_table(output / "results/predictions/predictions.parquet", columns=["patient", "risk"])
        ids.update(set(table.loc[table["risk"].notna(), "patient"]))
    return sum(times > 1 for times in ids.values())
