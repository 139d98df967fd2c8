"""The charts of one endpoint: ROC, precision-recall, calibration, decision and training curves, and the forest plot."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pandas as pd

from metaswin.core.formatting import HEAD_NAMES, Shown, number, numbers, p_text, shown
from metaswin.report.charts import (
    HEAD_STYLE,
    HEADLINE,
    INK,
    MUTED,
    OTHERS,
    PLAIN,
    STYLES,
    Chart,
    Forest,
    ForestRow,
    Series,
    Style,
)
from metaswin.report.controls import CONTROLS, made
from metaswin.report.data import Endpoint


def curves_of(endpoint: Endpoint) -> list[Chart]:
    """The charts of predictive performance; one whose table is absent is empty and says so."""
    return [make(endpoint) if name in endpoint.tables else _absent(name, endpoint) for name, make in CURVES.items()]


def styles(endpoint: Endpoint) -> dict[str, Style]:
    """A style of its own for every arm; the same in all figures."""
    fixed = {endpoint.clinical_arm: STYLES["clinical"], **{name: STYLES[name] for name in STYLES}}
    found, others = {}, 0
    for arm in endpoint.arms:
        if arm == endpoint.headline:
            found[arm] = HEAD_STYLE
        elif arm in fixed:
            found[arm] = fixed[arm]
        else:
            found[arm] = OTHERS[others % len(OTHERS)]
            others += 1
    return found


def main_arms(endpoint: Endpoint) -> list[str]:
    """Arms that a figure shows at first, the headline last: each modality alone, the controls, the headline."""
    arms = dict.fromkeys([arm for _, arm in endpoint.alone()] + endpoint.controls())
    return [*(arm for arm in arms if arm != endpoint.headline), endpoint.headline]


def _series(
    endpoint: Endpoint, table: pd.DataFrame, shown: Iterable[str], make: Callable[[str, pd.DataFrame, Style], Series]
) -> list[Series]:
    """One series an arm, of the head that answers: arms not shown at first, then `shown`, the headline on top."""
    look = styles(endpoint)
    table = table[table["head"] == endpoint.head]
    by_arm = dict(iter(table.groupby("arm")))
    shown = [arm for arm in shown if arm in by_arm]
    order = [*(arm for arm in endpoint.arms if arm in by_arm and arm not in shown), *shown]
    return [make(arm, by_arm[arm], look[arm]) for arm in order]


def roc_chart(endpoint: Endpoint) -> Chart:
    """Mean ROC curves; the headline's band is ± 1 standard deviation over folds."""
    shown = main_arms(endpoint)

    def make(arm: str, rows: pd.DataFrame, style: Style) -> Series:
        label = f"{endpoint.label(arm)}: {endpoint.metric(arm, endpoint.head).text}"
        x, y = rows["fpr"].tolist(), rows["tpr"].tolist()
        low, high = _around(y, rows["tpr_sd"]) if arm == endpoint.headline else (None, None)
        return Series(arm, label, x, y, low, high, style=style, shown=arm in shown)

    series = _series(endpoint, endpoint.tables["roc"], shown, make)
    return Chart(f"roc-{endpoint.name}", f"ROC curves of {endpoint.name}", "1 − specificity", "Sensitivity",
                 (0, 1), (0, 1), series, diagonal=True, square=True)  # fmt: skip


def pr_chart(endpoint: Endpoint) -> Chart:
    """Mean curves of precision against recall; the level line is the share of events."""
    shown = main_arms(endpoint)
    known = "pr_auc" + endpoint.suffix in endpoint.tables["summary"]

    def make(arm: str, rows: pd.DataFrame, style: Style) -> Series:
        value = f": {endpoint.metric(arm, endpoint.head, 'pr_auc').text}" if known else ""
        x, y = rows["recall"].tolist(), rows["precision"].tolist()
        low, high = _around(y, rows["precision_sd"]) if arm == endpoint.headline else (None, None)
        return Series(arm, endpoint.label(arm) + value, x, y, low, high, style=style, shown=arm in shown)

    series = _series(endpoint, endpoint.tables["pr"], shown, make)
    counts = endpoint.counts
    level = float(counts["events"] / counts["n"]) if counts["n"] else None
    return Chart(f"pr-{endpoint.name}", f"Precision and recall of {endpoint.name}", "Recall (sensitivity)",
                 "Precision", (0, 1), (0, 1), series, level=level, square=True)  # fmt: skip


def calibration_chart(endpoint: Endpoint) -> Chart:
    """Observed against predicted risk in bins, with intervals."""
    wanted = [endpoint.headline]

    def make(arm: str, rows: pd.DataFrame, style: Style) -> Series:
        rows = rows[rows["predicted"].notna() & rows["observed"].notna()].sort_values("predicted")
        notes = [f"{n} patients" for n in rows["n"].astype("int64")]
        return Series(
            arm, endpoint.label(arm), rows["predicted"].tolist(), rows["observed"].tolist(),
            numbers(rows["low"]), numbers(rows["high"]), "points", style, arm in wanted, notes,
        )  # fmt: skip

    series = [s for s in _series(endpoint, endpoint.tables["calibration"], wanted, make) if s.x]
    why = _reason(endpoint.tables["calibration"], endpoint)
    return Chart(f"calibration-{endpoint.name}", f"Calibration of {endpoint.name}", "Predicted risk",
                 "Observed risk", (0, 1), (0, 1), series, diagonal=True, square=True, empty=why)  # fmt: skip


def decision_chart(endpoint: Endpoint) -> Chart:
    """Net benefit by threshold probability, beside treating all and treating nobody."""
    table = endpoint.tables["decision"].sort_values("threshold_probability")
    shown = [arm for arm in main_arms(endpoint) if arm in (endpoint.headline, *endpoint.controls())]

    def make(arm: str, rows: pd.DataFrame, style: Style) -> Series:
        rows = rows[rows["net_benefit"].notna()]
        low, high = (numbers(rows["low"]), numbers(rows["high"])) if arm == endpoint.headline else (None, None)
        x, y = rows["threshold_probability"].tolist(), rows["net_benefit"].tolist()
        return Series(arm, endpoint.label(arm), x, y, low, high, style=style, shown=arm in shown)

    series = [s for s in _series(endpoint, table, shown, make) if s.x]
    own = table[(table["arm"] == endpoint.headline) & (table["head"] == endpoint.head) & table["treat_all"].notna()]
    name, title = f"decision-{endpoint.name}", f"Decision curves of {endpoint.name}"
    labels = "Threshold probability", "Net benefit"
    if not series or not len(own):
        return Chart(name, title, *labels, (0, 1), (0, 1), [], empty=_reason(table, endpoint))
    x = own["threshold_probability"].tolist()
    everyone = Series("treat all", "Treat all", x, own["treat_all"].tolist(), style=Style(MUTED, (1, 2), 1.4))
    nobody = Series("treat none", "Treat none", x, [0.0] * len(x), style=PLAIN)
    top = max(max(s.y) for s in [everyone, *series])
    low, high = -0.25 * max(top, 0.02), 1.15 * max(top, 0.02)
    return Chart(name, title, *labels, (min(x), max(x)), (low, high), [everyone, nobody, *series], level=0.0)


def training_chart(endpoint: Endpoint) -> Chart:
    """Loss by epoch of each fold's outer network."""
    series: list[Series] = []
    longest, losses = 1, [0.0]
    for place, record in enumerate(endpoint.training):
        found = record["losses"], record["holdout"]["losses"]
        looks = (
            ("train", "Training rows, one line a fold", Style(HEADLINE, (), 1.2)),
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
    """Limits one `spread` below and above, within 0 and 1."""
    pairs = list(zip(middle, numbers(spread), strict=True))
    low = [None if s is None else max(m - s, 0.0) for m, s in pairs]
    return low, [None if s is None else min(m + s, 1.0) for m, s in pairs]


def _reason(table: pd.DataFrame, endpoint: Endpoint) -> str:
    """Why there is no curve of the headline."""
    own = table[(table["arm"] == endpoint.headline) & (table["head"] == endpoint.head)]
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
    """`value` rounded up to a multiple of `step`, for the end of an axis."""
    return math.ceil(value / step - 1e-9) * step


def arms_forest(endpoint: Endpoint) -> Forest:
    """AUC of every arm, the other head hollow, and of the control variants below."""
    named = [arm for _, arm in endpoint.alone()]
    controls = [arm for arm in endpoint.controls() if arm not in named]
    # Also arms of one modality that the headline does not have, such as anatomy.
    alone = [*named, *(arm for arm in endpoint.arms if "+" not in arm and arm not in {*named, *controls})]
    joined = [arm for arm in endpoint.arms if arm not in {*alone, *controls, endpoint.headline}]
    groups = {"Headline": [endpoint.headline], "Modalities alone": alone, "Joined": joined, "Controls": controls}
    rows, seen = [], set()
    for group, arms in groups.items():
        rows += [_row(endpoint, arm, endpoint.head, group, second=True) for arm in arms if arm not in seen]
        seen |= set(arms)
    rows += control_rows(endpoint)
    title = f"AUC of every arm and control of {endpoint.name}"
    label = f"AUC, mean of the folds with {endpoint.confidence:.0%} interval"
    return Forest(f"arms-{endpoint.name}", title, label, _range(rows), rows, 0.5)


def answer_forest(endpoint: Endpoint) -> Forest:
    """The headline beside what it must beat, for the first screen."""
    rows = [_row(endpoint, endpoint.headline, endpoint.head, "")]
    for control in (endpoint.volume(), endpoint.best_clinical()):
        if control is not None:
            rows.append(_row(endpoint, *control, ""))
    return Forest(
        f"answer-{endpoint.name}", f"Headline and controls of {endpoint.name}", "AUC", _range(rows), rows, 0.5
    )


def control_rows(endpoint: Endpoint) -> list[ForestRow]:
    """One row for each control variant that was run, and each of its arms."""
    rows = []
    for row in made(endpoint).to_dict("records"):
        title, what, colour = CONTROLS[row["control"]]
        notes = [HEAD_NAMES.get(row["head"], row["head"])] if row["head"] != endpoint.head else []
        notes += [f"p {p_text(row['p'])}"] if row["control"] == "permuted" and number(row["p"]) is not None else []
        label = endpoint.label(row["arm"])
        rows.append(_forest_row(label, f"{title}: {what}", shown(row, "auc"), colour, ", ".join(notes)))
    return rows


def _row(endpoint: Endpoint, arm: str, head: str, group: str, second: bool = False) -> ForestRow:
    colour = HEADLINE if arm == endpoint.headline else INK
    if head not in endpoint.summary.loc[[arm]].index.get_level_values("head"):
        return ForestRow(
            endpoint.label(arm), group, None, why=f"no {HEAD_NAMES.get(head, head).lower()} head", colour=colour
        )
    note = "" if head == endpoint.head else HEAD_NAMES.get(head, head)
    row = _forest_row(endpoint.label(arm), group, endpoint.metric(arm, head), colour, note)
    others = [h for h in endpoint.summary.loc[[arm]].index.get_level_values("head") if h != head]
    if not second or not others:
        return row
    other = endpoint.metric(arm, others[0])
    return replace(row, second=(other.value, other.low, other.high))


def _forest_row(label: str, group: str, found: Shown, colour: str, note: str) -> ForestRow:
    return ForestRow(label, group, found.value, found.low, found.high, found.why, note, colour)


def _range(rows: list[ForestRow]) -> tuple[float, float]:
    """Where the estimates lie, in steps of .1, with .5 inside."""
    found = [x for row in rows for x in (row.value, row.low, row.high, *(row.second or ())) if x is not None]
    low, high = min([0.45, *found]), max([0.75, *found])
    return max(0.0, int(low * 10) / 10), min(1.0, (int(high * 10 - 1e-9) + 1) / 10)
