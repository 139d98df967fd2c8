"""Study ids: what is allowed, what to suggest, which ids differ by writing only."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_usable(identifier: str) -> bool:
    """Whether an id may name files and wildcards."""
    return ALLOWED.fullmatch(identifier) is not None


def suggest(identifier: str) -> str:
    """The nearest usable id; empty where nothing usable is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", identifier).strip("-._")


@cache  # each id of the data is compared with each of the table where these write them otherwise
def plain(identifier: str) -> str:
    """An id without case, leading zeros and separators: equal for ids that differ by these only."""
    words = re.findall(r"[^\W\d_]+|\d+", identifier.casefold())
    return "|".join(str(int(word)) if word.isdecimal() else word for word in words)


def same_but_writing(identifier: str, others: Iterable[str], names: Mapping[str, str] | None = None) -> list[str]:
    """Ids among `others` that differ from `identifier` by case, leading zeros or separators only, sorted.

    `names` are the ids behind pseudonyms, which are compared in their place.
    """
    names = names or {}
    wanted = plain(names.get(identifier, identifier))
    return sorted(other for other in others if other != identifier and plain(names.get(other, other)) == wanted)


def alike(identifiers: Iterable[str], names: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Each id that others of `identifiers` differ from by writing only → these others, sorted.

    `names` are the ids behind pseudonyms, which are compared in their place.
    """
    names = names or {}
    groups: dict[str, list[str]] = {}
    for identifier in sorted(set(identifiers)):
        groups.setdefault(plain(names.get(identifier, identifier)), []).append(identifier)
    twins = [group for group in groups.values() if len(group) > 1]
    return {one: [other for other in group if other != one] for group in twins for one in group}
