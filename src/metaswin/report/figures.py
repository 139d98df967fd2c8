"""Draw the curves and the forest plots of one endpoint."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pandas as pd

from metaswin.core.formatting import CLASSIFIER_NAMES, Shown, number, numbers, p_text, shown
from metaswin.report.charts import (
    INK,
    MUTED,
    OTHERS,
    PLAIN,
    PRIMARY,
    PRIMARY_STYLE,
    STYLES,
    Chart,
    Forest,
    ForestRow,
    Series,
    Style,
)
from metaswin.report.controls import CONTROLS, made
from metaswin.report.data import Endpoint
from metaswin.report.tables import centre_rows, spread_rows, strata_feature_sets


def curves_of(endpoint: Endpoint) -> list[Chart]:
    """Return the charts of predictive performance; a chart without its table is empty and has a note."""
    return [make(endpoint) if name in endpoint.tables else _absent(name, endpoint) for name, make in CURVES.items()]


def styles(endpoint: Endpoint) -> dict[str, Style]:
    """Return a style for every feature set, which is the same in all figures."""
    fixed = {endpoint.clinical_feature_set: STYLES["clinical"], **{name: STYLES[name] for name in STYLES}}
    found, others = {}, 0
    for feature_set in endpoint.feature_sets:
        if feature_set == endpoint.primary:
            found[feature_set] = PRIMARY_STYLE
        elif feature_set in fixed:
            found[feature_set] = fixed[feature_set]
        else:
            found[feature_set] = OTHERS[others % len(OTHERS)]
            others += 1
    return found


def main_feature_sets(endpoint: Endpoint) -> list[str]:
    """Return the feature sets that a figure shows initially: modalities alone, baselines, the primary feature set."""
    feature_sets = dict.fromkeys([feature_set for _, feature_set in endpoint.alone()] + endpoint.baselines())
    return [*(feature_set for feature_set in feature_sets if feature_set != endpoint.primary), endpoint.primary]


def _series(
    endpoint: Endpoint, table: pd.DataFrame, shown: Iterable[str], make: Callable[[str, pd.DataFrame, Style], Series]
) -> list[Series]:
    """Return one series per feature set with the primary classifier; hidden ones are first, the primary one is last."""
    look = styles(endpoint)
    table = table[table["classifier"] == table["feature_set"].map(endpoint.classifier_of)]
    by_feature_set = dict(iter(table.groupby("feature_set")))
    shown = [feature_set for feature_set in shown if feature_set in by_feature_set]
    order = [
        *(
            feature_set
            for feature_set in endpoint.feature_sets
            if feature_set in by_feature_set and feature_set not in shown
        ),
        *shown,
    ]
    return [make(feature_set, by_feature_set[feature_set], look[feature_set]) for feature_set in order]


def roc_chart(endpoint: Endpoint) -> Chart:
    """Draw the mean ROC curves; the band of the primary model is ± 1 standard deviation over folds."""
    shown = main_feature_sets(endpoint)

    def make(feature_set: str, rows: pd.DataFrame, style: Style) -> Series:
        found = endpoint.metric(feature_set, endpoint.classifier_of(feature_set))
        label = f"{endpoint.label(feature_set)}: {found.text}"
        x, y = rows["fpr"].tolist(), rows["tpr"].tolist()
        low, high = _around(y, rows["tpr_sd"]) if feature_set == endpoint.primary else (None, None)
        return Series(feature_set, label, x, y, low, high, style=style, shown=feature_set in shown)

    series = _series(endpoint, endpoint.tables["roc"], shown, make)
    return Chart(f"roc-{endpoint.name}", f"ROC curves of {endpoint.name}", "1 − specificity", "Sensitivity",
                 (0, 1), (0, 1), series, diagonal=True, square=True)  # fmt: skip


def pr_chart(endpoint: Endpoint) -> Chart:
    """Draw the mean curves of precision against recall; the horizontal line is the prevalence."""
    shown = main_feature_sets(endpoint)
    known = "pr_auc" + endpoint.suffix in endpoint.tables["summary"]

    def make(feature_set: str, rows: pd.DataFrame, style: Style) -> Series:
        value = f": {endpoint.metric(feature_set, endpoint.classifier_of(feature_set), 'pr_auc').text}" if known else ""
        x, y = rows["recall"].tolist(), rows["precision"].tolist()
        low, high = _around(y, rows["precision_sd"]) if feature_set == endpoint.primary else (None, None)
        return Series(
            feature_set, endpoint.label(feature_set) + value, x, y, low, high, style=style, shown=feature_set in shown
        )

    series = _series(endpoint, endpoint.tables["pr"], shown, make)
    counts = endpoint.counts
    level = float(counts["events"] / counts["n"]) if counts["n"] else None
    return Chart(f"pr-{endpoint.name}", f"Precision and recall of {endpoint.name}", "Recall (sensitivity)",
                 "Precision", (0, 1), (0, 1), series, level=level, square=True)  # fmt: skip


def calibration_chart(endpoint: Endpoint) -> Chart:
    """Draw observed against predicted risk in bins, with intervals."""
    wanted = [endpoint.primary]

    def make(feature_set: str, rows: pd.DataFrame, style: Style) -> Series:
        rows = rows[rows["predicted"].notna() & rows["observed"].notna()].sort_values("predicted")
        notes = [f"{n} patients" for n in rows["n"].astype("int64")]
        return Series(
            feature_set, endpoint.label(feature_set), rows["predicted"].tolist(), rows["observed"].tolist(),
            numbers(rows["low"]), numbers(rows["high"]), "points", style, feature_set in wanted, notes,
        )  # fmt: skip

    series = [s for s in _series(endpoint, endpoint.tables["calibration"], wanted, make) if s.x]
    why = _reason(endpoint.tables["calibration"], endpoint)
    return Chart(f"calibration-{endpoint.name}", f"Calibration of {endpoint.name}", "Predicted risk",
                 "Observed risk", (0, 1), (0, 1), series, diagonal=True, square=True, empty=why)  # fmt: skip


def decision_chart(endpoint: Endpoint) -> Chart:
    """Draw net benefit by threshold probability, with the curves of treating all and treating none."""
    table = endpoint.tables["decision"].sort_values("threshold_probability")
    shown = [
        feature_set
        for feature_set in main_feature_sets(endpoint)
        if feature_set in (endpoint.primary, *endpoint.baselines())
    ]

    def make(feature_set: str, rows: pd.DataFrame, style: Style) -> Series:
        rows = rows[rows["net_benefit"].notna()]
        low, high = (numbers(rows["low"]), numbers(rows["high"])) if feature_set == endpoint.primary else (None, None)
        x, y = rows["threshold_probability"].tolist(), rows["net_benefit"].tolist()
        return Series(
            feature_set, endpoint.label(feature_set), x, y, low, high, style=style, shown=feature_set in shown
        )

    series = [s for s in _series(endpoint, table, shown, make) if s.x]
    own = table[
        (table["feature_set"] == endpoint.primary)
        & (table["classifier"] == endpoint.classifier)
        & table["treat_all"].notna()
    ]
    name, title = f"decision-{endpoint.name}", f"Decision curves of {endpoint.name}"
    labels = "Threshold probability", "Net benefit"
    if not series or not len(own):
        return Chart(name, title, *labels, (0, 1), (0, 1), [], empty=_reason(table, endpoint))
    x = own["threshold_probability"].tolist()
    everyone = Series("treat all", "Treat all", x, own["treat_all"].tolist(), style=Style(MUTED, (1, 2), 1.4))
    none = Series("treat none", "Treat none", x, [0.0] * len(x), style=PLAIN)
    top = max(max(s.y) for s in [everyone, *series])
    low, high = -0.25 * max(top, 0.02), 1.15 * max(top, 0.02)
    return Chart(name, title, *labels, (min(x), max(x)), (low, high), [everyone, none, *series], level=0.0)


def training_chart(endpoint: Endpoint) -> Chart:
    """Draw the loss by epoch of the outer network of each fold."""
    series: list[Series] = []
    longest, losses = 1, [0.0]
    for place, record in enumerate(endpoint.training):
        found = record["pretraining_losses"], record["losses"], record["holdout"]["losses"]
        looks = (
            ("components", "Radiomics components (smooth L1 loss)", Style("#009E73", (2, 2), 1.2)),
            ("train", "Training rows, one line per fold", Style(PRIMARY, (), 1.2)),
            ("holdout", "Rows held out for early stopping", Style("#D55E00", (5, 3), 1.2)),
        )
        for values, (key, label, style) in zip(found, looks, strict=True):
            if values:
                first = not any(one.key == key for one in series)
                epochs = [float(epoch) for epoch in range(1, len(values) + 1)]
                series.append(Series(key, label if first else "", epochs, list(values), style=style))
                longest, losses = max(longest, len(values)), losses + list(values)
        if place == len(endpoint.training) - 1:
            series.sort(key=lambda one: one.key != "holdout")
    high = 1.05 * max(losses) or 1.0
    return Chart(f"training-{endpoint.name}", f"Training of the deep networks of {endpoint.name}", "Epoch", "Loss",
                 (0, longest), (min(0.0, min(losses)), high), series, whole_x=True)  # fmt: skip


def _around(middle: list[float], spread: pd.Series) -> tuple[list[float | None], list[float | None]]:
    """Return limits one `spread` below and above, within 0 and 1."""
    pairs = list(zip(middle, numbers(spread), strict=True))
    low = [None if s is None else max(m - s, 0.0) for m, s in pairs]
    return low, [None if s is None else min(m + s, 1.0) for m, s in pairs]


def _reason(table: pd.DataFrame, endpoint: Endpoint) -> str:
    """Return the reason why there is no curve of the primary model."""
    own = table[(table["feature_set"] == endpoint.primary) & (table["classifier"] == endpoint.classifier)]
    reasons = sorted({why for why in own["why"] if isinstance(why, str) and why})
    return f"not estimable: {reasons[0]}" if reasons else "not estimable"


def _absent(name: str, endpoint: Endpoint) -> Chart:
    return Chart(f"{name}-{endpoint.name}", name, "", "", (0, 1), (0, 1), [], empty="not computed in this run")


CURVES: dict[str, Callable[[Endpoint], Chart]] = {
    "roc": roc_chart,
    "pr": pr_chart,
    "calibration": calibration_chart,
    "decision": decision_chart,
}


def nice_limit(value: float, step: float = 0.05) -> float:
    """Round `value` up to a multiple of `step`, for the end of an axis."""
    return math.ceil(value / step - 1e-9) * step


def feature_sets_forest(endpoint: Endpoint) -> Forest:
    """Draw the AUC of every feature set and of the negative controls; the other classifier has hollow markers."""
    named = [feature_set for _, feature_set in endpoint.alone()]
    baselines = [feature_set for feature_set in endpoint.baselines() if feature_set not in named]
    # Feature sets of one modality that the primary model does not have, such as anatomy, are included.
    alone = [
        *named,
        *(
            feature_set
            for feature_set in endpoint.feature_sets
            if "+" not in feature_set and feature_set not in {*named, *baselines}
        ),
    ]
    joined = [
        feature_set
        for feature_set in endpoint.feature_sets
        if feature_set not in {*alone, *baselines, endpoint.primary}
    ]
    groups = {"Primary": [endpoint.primary], "Modalities alone": alone, "Joined": joined, "Baselines": baselines}
    rows, seen = [], set()
    for group, feature_sets in groups.items():
        rows += [
            _row(endpoint, feature_set, endpoint.classifier_of(feature_set), group, second=True)
            for feature_set in feature_sets
            if feature_set not in seen
        ]
        seen |= set(feature_sets)
    rows += control_rows(endpoint)
    title = f"AUC of every feature set and negative control of {endpoint.name}"
    label = f"AUC, mean of the folds with {endpoint.confidence:.0%} interval"
    return Forest(f"feature_sets-{endpoint.name}", title, label, _range(rows), rows, 0.5)


def summary_forest(endpoint: Endpoint) -> Forest:
    """Draw the primary model and its baselines, for the summary."""
    rows = [_row(endpoint, endpoint.primary, endpoint.classifier, "")]
    for baseline in (endpoint.volume(), endpoint.best_clinical(), *endpoint.published()):
        if baseline is not None:
            rows.append(_row(endpoint, *baseline, ""))
    return Forest(
        f"summary-{endpoint.name}", f"Primary model and baselines of {endpoint.name}", "AUC", _range(rows), rows, 0.5
    )


def centres_forest(endpoint: Endpoint) -> Forest | None:
    """Return the AUCs of the primary model and its baselines in each centre; None if the folds are not centres."""
    centres, spread = centre_rows(endpoint), spread_rows(endpoint)
    if not centres:
        return None
    rows = []
    for place, (feature_set, classifier) in enumerate(strata_feature_sets(endpoint)):
        group = f"{endpoint.label(feature_set)}, {CLASSIFIER_NAMES.get(classifier, classifier).lower()}"
        colour = PRIMARY if feature_set == endpoint.primary else INK
        for row in centres:
            note = f"{row['events']} events in {row['n']} patients"
            rows.append(_forest_row(row["level"], group, row["estimates"][place], colour, note))
        own = spread[place]
        rows.append(_forest_row("Mean of the centres", group, own["mean"], colour, "random effects"))
        if own["predicted"].interval:
            rows.append(_forest_row("A new centre", group, own["predicted"], colour, "prediction interval"))
    title = f"AUC in each centre of {endpoint.name}"
    label = f"AUC in each centre of the model trained without it, with {endpoint.confidence:.0%} interval"
    return Forest(f"centres-{endpoint.name}", title, label, _range(rows), rows, 0.5)


def control_rows(endpoint: Endpoint) -> list[ForestRow]:
    """Return one row for each negative control that was run and each of its feature sets."""
    rows = []
    for row in made(endpoint).to_dict("records"):
        title, what, colour = CONTROLS[row["control"]]
        notes = (
            [CLASSIFIER_NAMES.get(row["classifier"], row["classifier"])]
            if row["classifier"] != endpoint.classifier
            else []
        )
        notes += [f"p {p_text(row['p'])}"] if row["control"] == "permuted" and number(row["p"]) is not None else []
        label = endpoint.label(row["feature_set"])
        rows.append(_forest_row(label, f"{title}: {what}", shown(row, "auc"), colour, ", ".join(notes)))
    return rows


def _row(endpoint: Endpoint, feature_set: str, classifier: str, group: str, second: bool = False) -> ForestRow:
    colour = PRIMARY if feature_set == endpoint.primary else INK
    if classifier not in endpoint.summary.loc[[feature_set]].index.get_level_values("classifier"):
        return ForestRow(
            endpoint.label(feature_set),
            group,
            None,
            why=f"no {CLASSIFIER_NAMES.get(classifier, classifier).lower()} classifier",
            colour=colour,
        )
    note = "" if classifier == endpoint.classifier else CLASSIFIER_NAMES.get(classifier, classifier)
    row = _forest_row(endpoint.label(feature_set), group, endpoint.metric(feature_set, classifier), colour, note)
    others = [h for h in endpoint.summary.loc[[feature_set]].index.get_level_values("classifier") if h != classifier]
    if not second or not others:
        return row
    other = endpoint.metric(feature_set, others[0])
    return replace(row, second=(other.value, other.low, other.high))


def _forest_row(label: str, group: str, found: Shown, colour: str, note: str) -> ForestRow:
    return ForestRow(label, group, found.value, found.low, found.high, found.why, note, colour)


def _range(rows: list[ForestRow]) -> tuple[float, float]:
    """Return the range of the estimates in steps of .1, including .5."""
    found = [x for row in rows for x in (row.value, row.low, row.high, *(row.second or ())) if x is not None]
    low, high = min([0.45, *found]), max([0.75, *found])
    return max(0.0, int(low * 10) / 10), min(1.0, (int(high * 10 - 1e-9) + 1) / 10)
