"""Check study ids, suggest usable ones, and find ids that differ only in spelling."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_usable(identifier: str) -> bool:
    """Return whether an id may be used in file names and wildcards."""
    return ALLOWED.fullmatch(identifier) is not None


def suggest(identifier: str) -> str:
    """Return the nearest usable id; empty if no usable characters are left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", identifier).strip("-._")


@cache  # each id in the data may be compared with each id in the table
def plain(identifier: str) -> str:
    """Return an id without case, leading zeros and separators."""
    words = re.findall(r"[^\W\d_]+|\d+", identifier.casefold())
    return "|".join(str(int(word)) if word.isdecimal() else word for word in words)


def same_but_writing(identifier: str, others: Iterable[str], names: Mapping[str, str] | None = None) -> list[str]:
    """Return the ids among `others` that differ from `identifier` only in case, leading zeros or separators, sorted.

    `names` maps pseudonyms to ids, and the ids are compared.
    """
    names = names or {}
    wanted = plain(names.get(identifier, identifier))
    return sorted(other for other in others if other != identifier and plain(names.get(other, other)) == wanted)


def alike(identifiers: Iterable[str], names: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Return for each id the other ids that differ from it only in spelling, sorted.

    `names` maps pseudonyms to ids, and the ids are compared.
    """
    names = names or {}
    groups: dict[str, list[str]] = {}
    for identifier in sorted(set(identifiers)):
        groups.setdefault(plain(names.get(identifier, identifier)), []).append(identifier)
    twins = [group for group in groups.values() if len(group) > 1]
    return {one: [other for other in group if other != one] for group in twins for one in group}
