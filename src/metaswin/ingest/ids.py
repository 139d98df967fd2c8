"""Study ids: what is allowed, what to suggest, which ids differ by writing only."""

import re
from collections.abc import Iterable

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_usable(identifier: str) -> bool:
    """Whether an id may name files and wildcards."""
    return ALLOWED.fullmatch(identifier) is not None


def suggest(identifier: str) -> str:
    """The nearest usable id; empty where nothing usable is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", identifier).strip("-._")


def plain(identifier: str) -> str:
    """An id without case, leading zeros and separators: equal for ids that differ by these only."""
    words = re.findall(r"[^\W\d_]+|\d+", identifier.casefold())
    return "|".join(str(int(word)) if word.isdecimal() else word for word in words)


def same_but_writing(identifier: str, others: Iterable[str]) -> list[str]:
    """Ids among `others` that differ from `identifier` by case, leading zeros or separators only, sorted."""
    wanted = plain(identifier)
    return sorted(other for other in others if other != identifier and plain(other) == wanted)


def alike(identifiers: Iterable[str]) -> dict[str, list[str]]:
    """Each id that others of `identifiers` differ from by writing only → these others, sorted."""
    groups: dict[str, list[str]] = {}
    for identifier in sorted(set(identifiers)):
        groups.setdefault(plain(identifier), []).append(identifier)
    twins = [group for group in groups.values() if len(group) > 1]
    return {one: [other for other in group if other != one] for group in twins for one in group}
