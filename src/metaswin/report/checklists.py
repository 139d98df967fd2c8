"""Reporting guidelines: which items the run itself answers, and which are the author's to state.

The lists in ``checklists/`` hold the items' numbers with short paraphrases of our own; the full wording is in the
papers they name.
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
    """One item with what the run says to it.

    Attributes
    ----------
    item, topic, asks : str
    status : str
        ``run`` (answered), ``not done`` (the run did not do it), ``both`` (answered, and the author adds something),
        ``author`` or ``n/a``.
    text : str
        What the run states.
    author : str
        What the author has to state.
    weight : float or None
        Of METRICS.
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
    """A list with its items; `answered` of them need nothing from the author."""

    name: str
    source: str
    count: str
    items: list[Item]

    @property
    def answered(self) -> int:
        return sum(item.status in ("run", "not done", "n/a") for item in self.items)

    def weight(self, *statuses: str) -> float:
        """Sum of the weights of items in these states."""
        return sum(item.weight or 0.0 for item in self.items if item.status in statuses)


def filled(statements: Mapping[str, Statement], conditions: Mapping[str, bool]) -> list[Checklist]:
    """All lists, filled from the run.

    Parameters
    ----------
    statements : mapping
        What the run says, see `metaswin.report.statements.statements`.
    conditions : mapping
        Whether what an item is about exists in this run; an item whose condition is False does not apply.
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
