"""Named groups of organs and tissues: ``bone`` is a skull as well as what is dense as bone."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase


def resolve(groups: Mapping[str, Iterable[str]], labels: Mapping[str, int]) -> dict[str, list[int]]:
    """Labels of each group.

    Parameters
    ----------
    groups : mapping
        Group → names; ``*`` and ``?`` in a name stand for any letters and any letter.
    labels : mapping
        Name → label of the organ masks.

    Returns
    -------
    dict
        Group → labels, ascending; groups without any are left out.
    """
    found = {
        group: sorted({labels[name] for name in labels for pattern in names if fnmatchcase(name, pattern)})
        for group, names in groups.items()
    }
    return {group: values for group, values in found.items() if values}


def labels_of(name: str, facts: Mapping) -> list[int] | None:
    """Labels of a group, an organ or a tissue in ``organs.json``; None where it has no such name."""
    if name in facts.get("groups", {}):
        return facts["groups"][name]
    return [facts["labels"][name]] if name in facts["labels"] else None
