"""Define the errors whose messages are written for the user."""

import difflib
from collections.abc import Collection


class UserError(Exception):
    """An error that the user can fix: a wrong setting, file or table.

    The message states what was found, what was expected and what to do next. It is shown without a traceback.
    """


def several(title: str, messages: list[str]) -> UserError:
    """Return one error that lists several messages, so that the user sees all of them together."""
    return UserError("\n".join([title, *(f"  - {message}" for message in messages)]))


def suggestion(word: str, known: Collection[str]) -> str:
    """Return ``; did you mean …?`` if a known word is similar (without case), else a list of the known words."""
    folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]!r}?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"
