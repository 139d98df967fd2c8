"""Errors that are written for the user."""


class UserError(Exception):
    """A mistake the user can mend: bad setting, file or table.

    The message says what was found, what was expected and what to do next. It is shown without a traceback.
    """


def several(title: str, messages: list[str]) -> UserError:
    """One error out of several messages, so that the user sees all of them at once."""
    return UserError("\n".join([title, *(f"  - {message}" for message in messages)]))
