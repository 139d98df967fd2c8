"""The external validation as one page that opens offline."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metaswin.core.formatting import count, days, feature_set_name, number
from metaswin.core.pages import environment
from metaswin.prediction.bundle import Bundle
from metaswin.prediction.card import figure

NAMES = {
    "auc": "AUC",
    "pr_auc": "area under precision-recall curve",
    "brier": "Brier score",
    "observed_expected": "observed / expected",
    "calibration_intercept": "calibration intercept (in the large)",
    "calibration_slope": "calibration slope",
}


def validation_page(
    bundle: Bundle, views: Sequence[Mapping[str, Any]], metrics: pd.DataFrame, calibration: pd.DataFrame
) -> str:
    """The page as HTML.

    Parameters
    ----------
    bundle : Bundle
    views : sequence of dict
        Description of each endpoint, see `metaswin.prediction.validate`.
    metrics, calibration : DataFrame
        Tables of all endpoints and sets.
    """
    return (
        environment("metaswin.prediction")
        .get_template("validation.html.j2")
        .render(
            endpoints=[_view(bundle, view, metrics, calibration) for view in views],
            confidence=f"{bundle.facts['confidence']:.0%}",
            fingerprint=bundle.fingerprint[:16],
            version=bundle.facts["metaswin"],
        )
    )


def _view(bundle: Bundle, view: Mapping[str, Any], metrics: pd.DataFrame, calibration: pd.DataFrame) -> dict[str, Any]:
    facts = bundle.endpoints[view["name"]]
    horizon = facts["settings"].get("horizon_days")
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
        "title": f"distant metastasis within {days(horizon)}" if horizon is not None else f"outcome {view['name']}",
        "weighted": horizon is not None,
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
