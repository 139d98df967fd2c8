"""Collect the negative controls of the run, and the reasons for controls that were not run."""

from typing import Any

import numpy as np
import pandas as pd

from metaswin.core.formatting import CLASSIFIER_NAMES, Shown, number, p_text, reason, shown
from metaswin.report.charts import MUTED, PRIMARY_STYLE, WRONG, Chart, Series, Style
from metaswin.report.data import Endpoint

# Name, description and colour, in the order of the page.
CONTROLS = {
    "shuffled": ("Voxel-shuffled regions", "same histogram and shape, no texture", MUTED),
    "permuted": ("Permuted outcome", "no predictable outcome, expected AUC .5", MUTED),
    "leaky": ("Leakage demonstration (selection before the split)", "wrong on purpose, AUC too high", WRONG),
}
WIDTH = 0.0125


def made(endpoint: Endpoint) -> pd.DataFrame:
    """Return one row per control and feature set that was run.

    The row is that of the primary classifier, or of the other classifier if the primary one was not refitted.
    """
    table = endpoint.rows("controls")
    if table is None:
        return pd.DataFrame(columns=["control", "feature_set", "classifier"])
    table = table[table["as_is"].notna()]
    is_primary = (table["classifier"] == endpoint.classifier).astype(int)
    order = table["control"].map(list(CONTROLS).index)
    place = table["feature_set"].map(endpoint.feature_sets.index)
    table = table.assign(is_primary=is_primary, order=order, place=place)
    table = table.sort_values(["order", "place", "is_primary"], ascending=[True, True, False])
    return table.drop_duplicates(["control", "feature_set"])


def not_made(endpoint: Endpoint) -> dict[str, str]:
    """Return the reason for each control that was not run; the reason is empty if it is unknown."""
    table = endpoint.rows("controls")
    run = set(made(endpoint)["control"])
    why = {} if table is None else dict(zip(table["control"], table["note"], strict=True))
    return {control: reason(why.get(control)) for control in CONTROLS if control not in run}


def control_table(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the negative controls with the same feature set of the run."""
    rows = []
    limits = ("", "_low", "_high", "_why")
    for row in made(endpoint).to_dict("records"):
        difference = {f"auc{limit}": row[f"difference{limit}"] for limit in limits}
        differs = row["classifier"] != endpoint.classifier
        rows.append(
            {
                "control": row["control"],
                "title": CONTROLS[row["control"]][0],
                "wrong": row["control"] == "leaky",
                "name": endpoint.label(row["feature_set"]),
                "classifier": CLASSIFIER_NAMES.get(row["classifier"], row["classifier"]) if differs else "",
                "auc": shown(row, "auc"),
                "as_is": Shown(number(row["as_is"])),
                "refit": Shown(number(row["refit"])),
                "difference": shown(difference, "auc"),
                "p": p_text(row["p"]) if number(row["p"]) is not None else "–",
                "n": None if number(row["n"]) is None else int(row["n"]),
                "note": row["note"],
            }
        )
    return rows


def permutation_chart(endpoint: Endpoint) -> Chart | None:
    """Draw the AUCs of the primary feature set for permuted outcomes and for the unpermuted outcome.

    The unpermuted outcome is refitted in the same way. Without the table, the result is None. If the control was not
    run, the chart is empty.
    """
    table = endpoint.tables.get("permutations")
    if table is None:
        return None
    own = table[table["feature_set"] == endpoint.primary]
    classifiers = sorted(own["classifier"].unique(), key=lambda classifier: classifier != endpoint.classifier)
    own = own[own["classifier"] == classifiers[0]] if classifiers else own
    null = own.loc[own["permutation"] > 0, "auc"].dropna().to_numpy()
    real = own.loc[own["permutation"] == 0, "auc"].dropna().to_numpy()
    name, title = f"permuted-{endpoint.name}", f"AUC of permuted outcomes of {endpoint.name}"
    labels = "Mean AUC of the folds", "Permutations"
    if not len(null) or not len(real):
        return Chart(name, title, *labels, (0, 1), (0, 1), [], empty="not run")
    both = np.append(null, real[0])
    low = np.floor(20 * both.min() - 1e-9) / 20
    edges = np.arange(low, np.ceil(20 * both.max() + 1e-9) / 20 + WIDTH, WIDTH)
    counts, _ = np.histogram(null, edges)
    top = 1.1 * max(counts.max(), 1)
    classifier = (
        f" ({CLASSIFIER_NAMES.get(classifiers[0], classifiers[0]).lower()})"
        if classifiers[0] != endpoint.classifier
        else ""
    )
    series = [
        Series(
            "permuted",
            f"{len(null)} permuted outcomes",
            ((edges[:-1] + edges[1:]) / 2).tolist(),
            counts.astype(float).tolist(),
            kind="columns",
            style=Style(MUTED),
        ),
        Series(
            "real",
            f"Real outcome{classifier}: {real[0]:.3f}",
            [float(real[0])] * 2,
            [0.0, float(top)],
            style=PRIMARY_STYLE,
        ),
    ]
    return Chart(name, title, *labels, (float(low), float(edges[-1])), (0, float(top)), series)
