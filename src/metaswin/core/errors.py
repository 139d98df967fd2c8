"""Errors that are written for the user."""

import difflib
from collections.abc import Collection


class UserError(Exception):
    """A mistake the user can fix: bad setting, file or table.

    The message says what was found, what was expected and what to do next. It is shown without a traceback.
    """


def several(title: str, messages: list[str]) -> UserError:
    """One error out of several messages, so that the user sees all of them at once."""
    return UserError("\n".join([title, *(f"  - {message}" for message in messages)]))


def suggestion(word: str, known: Collection[str]) -> str:
    """``; did you mean …?`` when something near (without case) is known, else what is known."""
    folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]!r}?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"
