"""A number, or the reason why there is none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A number, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        None where it is not estimable.
    why : str
        The reason; empty where there is a value.
    """

    value: float | None = None
    why: str = ""
