"""Fill the reporting guidelines with the items that the run can answer.

The author must answer the other items. The lists in ``checklists/`` contain the numbers of the items with short
paraphrases of our own. The full wording is in the papers that the lists name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from metaswin.report.statements import Statement

NAMES = ("tripod-ai", "clear", "metrics")


@dataclass(frozen=True)
class Item:
    """Store one item with the answer of the run.

    Attributes
    ----------
    item, topic, asks : str
    status : str
        ``run`` (answered), ``not done`` (the run did not do it), ``both`` (answered, and the author must add
        something), ``author`` or ``n/a``.
    text : str
        Answer of the run.
    author : str
        What the author must state.
    weight : float or None
        Weight of the item in METRICS.
    """

    item: str
    topic: str
    asks: str
    status: str
    text: str
    author: str
    weight: float | None


@dataclass(frozen=True)
class Checklist:
    """Store a list with its items; `answered` of them need no answer from the author."""

    name: str
    source: str
    count: str
    items: list[Item]

    @property
    def answered(self) -> int:
        return sum(item.status in ("run", "not done", "n/a") for item in self.items)

    def weight(self, *statuses: str) -> float:
        """Return the sum of the weights of the items with these statuses."""
        return sum(item.weight or 0.0 for item in self.items if item.status in statuses)


def filled(statements: Mapping[str, Statement], conditions: Mapping[str, bool]) -> list[Checklist]:
    """Return all lists, filled from the run.

    Parameters
    ----------
    statements : mapping
        Statements of the run, see `metaswin.report.statements.statements`.
    conditions : mapping
        For each condition, whether this run meets it. An item whose condition is False does not apply.
    """
    found = []
    for name in NAMES:
        raw = _read(name)
        items = [_item(record, statements, conditions) for record in raw["items"]]
        found.append(Checklist(raw["name"], raw["source"], raw["count"], items))
    return found


def _item(record: Mapping[str, Any], statements: Mapping[str, Statement], conditions: Mapping[str, bool]) -> Item:
    author, text = record.get("author", ""), ""
    if not conditions.get(record.get("needs", ""), True):
        status, author = "n/a", ""
    elif "fact" not in record:
        status = "author"
    else:
        statement = statements[record["fact"]]
        text = statement.text
        status = "not done" if not statement.done else "both" if author else "run"
    shown = author if status in ("author", "both") else ""
    return Item(record["item"], record["topic"], record["asks"], status, text, shown, record.get("weight"))


def _read(name: str) -> dict[str, Any]:
    path = resources.files("metaswin.report") / "checklists" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))
