"""Arms and controls on one scale."""

from dataclasses import replace

from metaswin.report.charts import HEADLINE, INK, Forest, ForestRow
from metaswin.report.controls import CONTROLS, made
from metaswin.report.data import Endpoint
from metaswin.report.numbers import HEAD_NAMES, Shown, number, p_text, shown


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
