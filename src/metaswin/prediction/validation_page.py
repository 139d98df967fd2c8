"""Write the external validation as one page that opens offline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaswin.core.formatting import count, days, feature_set_name, number, p_text
from metaswin.core.pages import environment
from metaswin.prediction.bundle import Bundle
from metaswin.prediction.card import figure
from metaswin.report.charts import Forest
from metaswin.report.svg import forest_file

NAMES = {
    "auc": "AUC",
    "pr_auc": "area under precision-recall curve",
    "brier": "Brier score",
    "observed_expected": "observed / expected",
    "calibration_intercept": "calibration intercept (in the large)",
    "calibration_slope": "calibration slope",
}


@dataclass(frozen=True)
class CohortResult:
    """Store the external validation of one cohort as it is in its files.

    Attributes
    ----------
    views : dict
        Endpoint → description, see `metaswin.prediction.validate`.
    metrics, calibration : DataFrame
        Tables of all endpoints and sets.
    """

    views: Mapping[str, Mapping[str, Any]]
    metrics: pd.DataFrame
    calibration: pd.DataFrame

    def metrics_of(self, endpoint: str) -> pd.DataFrame:
        """Return the metrics of all predicted patients, indexed by name; empty if the cohort has none."""
        rows = self.metrics[self.metrics["endpoint"] == endpoint]
        sets = self.views[endpoint]["sets"] if endpoint in self.views else {}
        return rows[rows["set"] == next(iter(sets), "")].set_index("metric")

    def counts_of(self, endpoint: str) -> dict[str, int]:
        """Return the numbers of patients, events, non-events and unknown outcomes of the set of `metrics_of`."""
        return next(iter(self.views[endpoint]["sets"].values()))


def validation_page(bundle: Bundle, result: CohortResult) -> str:
    """Return the page of one cohort as HTML."""
    return _page(bundle, {"": result}, [], 0)


def pooled_page(
    bundle: Bundle,
    cohorts: Mapping[str, CohortResult],
    pooled: pd.DataFrame,
    forests: Mapping[tuple[str, str], Forest],
    repeated: int,
) -> str:
    """Return the page of several cohorts as HTML.

    Parameters
    ----------
    bundle : Bundle
    cohorts : mapping
        Name of each cohort → validation.
    pooled : DataFrame
        See `metaswin.prediction.pooling`.
    forests : mapping
        Endpoint and metric → forest plot.
    repeated : int
        Number of ids that were predicted in more than one cohort.
    """
    views = []
    for endpoint, rows in pooled.groupby("endpoint", sort=False):
        drawn = [forest_file(forest) for (name, _), forest in forests.items() if name == endpoint]
        records = [_pooled_row(row) for row in rows.to_dict("records")]
        left = list(dict.fromkeys(text for text in rows["not_pooled"] if text))
        views.append({"title": _title(bundle, str(endpoint)), "rows": records, "left": left, "forests": drawn})
    return _page(bundle, cohorts, views, repeated)


def _page(bundle: Bundle, cohorts: Mapping[str, CohortResult], pooled: list[dict[str, Any]], repeated: int) -> str:
    views = [
        {"name": name, "endpoints": [_view(bundle, view, result.metrics, result.calibration) for view in
                                     result.views.values()]}
        for name, result in cohorts.items()
    ]  # fmt: skip
    return (
        environment("metaswin.prediction")
        .get_template("validation.html.j2")
        .render(
            cohorts=views,
            pooled=pooled,
            repeated=repeated,
            confidence=f"{bundle.facts['confidence']:.0%}",
            fingerprint=bundle.fingerprint[:16],
            version=bundle.facts["metaswin"],
        )
    )


def _title(bundle: Bundle, endpoint: str) -> str:
    horizon = bundle.endpoints[endpoint]["settings"].get("horizon_days")
    return f"distant metastasis within {days(horizon)}" if horizon is not None else f"outcome {endpoint}"


def _pooled_row(row: Mapping[str, Any]) -> dict[str, str]:
    found = {key: number(row[key]) for key in ("value", "low", "high", "predicted_low", "predicted_high")}
    if found["value"] is None:
        return {"name": NAMES[row["metric"]], "cohorts": str(row["cohorts"]), "mean": f"not pooled ({row['why']})",
                "another": "", "tau2": "", "i2": "", "q": ""}  # fmt: skip
    another = f"none ({row['why'].removeprefix('no prediction interval: ')})"
    if found["predicted_low"] is not None:
        another = f"{found['predicted_low']:.3f} to {found['predicted_high']:.3f}"
    return {
        "name": NAMES[row["metric"]],
        "cohorts": str(row["cohorts"]),
        "mean": f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})",
        "another": another,
        "tau2": f"{row['tau2']:.3f}",
        "i2": f"{row['i2']:.0%}",
        "q": f"{row['q']:.2f} (p {p_text(row['p'])})",
    }


def _view(bundle: Bundle, view: Mapping[str, Any], metrics: pd.DataFrame, calibration: pd.DataFrame) -> dict[str, Any]:
    facts = bundle.endpoints[view["name"]]
    internal = facts["internal"][facts["primary"]]
    sets = []
    for title, counts in view["sets"].items():
        rows = metrics[(metrics["endpoint"] == view["name"]) & (metrics["set"] == title)]
        bins = calibration[(calibration["endpoint"] == view["name"]) & (calibration["set"] == title)]
        sets.append(
            {
                "title": title,
                "counts": f"{count(counts['n'], 'patient')}, {count(counts['events'], 'event')}, "
                f"{counts['unknown']} with an unknown outcome",
                "rows": [_row(row, internal) for row in rows.to_dict("records")],
                "bins": [
                    [
                        str(row["bin"]),
                        str(row["n"]),
                        *(f"{row[key]:.3f}" for key in ("predicted", "observed", "low", "high")),
                    ]
                    for row in bins.to_dict("records")
                ],
            }
        )
    return {
        "title": _title(bundle, view["name"]),
        "weighted": view["weighted"],
        "feature_set": feature_set_name(facts["primary"]),
        "trained": f"{count(facts['patients'], 'patient')}, {count(facts['events'], 'event')}",
        "left": view["left"],
        "unlike": view["unlike"],
        "compared": view["compared"],
        "sets": sets,
    }


def _row(row: Mapping[str, Any], internal: Mapping[str, Any]) -> dict[str, str]:
    here = {key: number(row[key]) for key in ("value", "low", "high")} | {"why": row["why"]}
    after = {"value": number(row["recalibrated"]), "low": None, "high": None, "why": row["recalibrated_why"]}
    inside = internal.get(row["metric"])
    return {
        "name": NAMES[row["metric"]],
        "external": figure(here).replace("no interval: no interval", "no interval"),
        "recalibrated": f"{after['value']:.3f}" if after["value"] is not None else figure(after),
        "internal": figure(inside) if inside else "not measured",
    }
