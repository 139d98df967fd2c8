"""Define the content of a figure, independently of how it is drawn: curves, points and rows with intervals."""

from dataclasses import dataclass, field

INK, MUTED, LINE, GRID = "#1b2430", "#5b6675", "#c9d0d9", "#e8ebef"
PRIMARY = "#0072B2"
WRONG = "#a3420a"


@dataclass(frozen=True)
class Style:
    """Define colour and dashes of a line (lengths in points); dashes distinguish lines in a greyscale print.

    Attributes
    ----------
    colour : str
    dashes : tuple of float
        Lengths of dashes and gaps. Empty for a solid line.
    width : float
    """

    colour: str
    dashes: tuple[float, ...] = ()
    width: float = 1.6


# Palette of Okabe & Ito. It can be distinguished with any colour vision.
PRIMARY_STYLE = Style(PRIMARY, (), 2.6)
PLAIN = Style(MUTED, (), 1.2)
STYLES = {
    "clinical": Style("#E69F00", (7, 2)),
    "radiomics": Style("#009E73", (6, 2, 1.5, 2)),
    "peri_radiomics": Style("#CC79A7", (2, 2)),
    "deep": Style("#D55E00", (10, 3, 3, 3)),
    "embedding": Style("#332288", (4, 1.5, 1, 1.5)),
    "anatomy": Style("#56B4E9", (9, 2, 2, 2)),
    "volume": Style("#4d4d4d", (4, 3)),
}
OTHERS = (
    Style("#8c6bb1", (2, 3)),
    Style("#b0870b", (3, 2, 1, 2)),
    Style("#7a5c3e", (12, 3)),
    Style("#3b7d74", (1, 2)),
)


@dataclass(frozen=True)
class Series:
    """Define one curve, set of points or set of columns.

    Attributes
    ----------
    key : str
        Key of the button in the legend that shows and hides the series. Series of one key are shown together.
    label : str
        Text in the legend. Empty for a series that belongs to another one of the same key.
    x, y : list of float
    low, high : list of float or None
        Limits around `y`, drawn as a band for lines and steps and as error bars for points. An element is None if the
        point has no limit.
    kind : str
        ``line``, ``step`` (constant to the right), ``points`` or ``columns``.
    style : Style
    shown : bool
        Whether it is shown initially. The legend can show it later.
    notes : list of str
        Additional text for each point.
    """

    key: str
    label: str
    x: list[float]
    y: list[float]
    low: list[float | None] | None = None
    high: list[float | None] | None = None
    kind: str = "line"
    style: Style = PRIMARY_STYLE
    shown: bool = True
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """Define a figure with two axes.

    Attributes
    ----------
    name : str
        Name of its files and identifiers.
    title, x_label, y_label : str
    x_range, y_range : tuple of float
    series : list of Series
        Drawn in this order. If the list is empty, nothing is estimable, and `empty` gives the reason.
    diagonal : bool
        Whether to draw the line y = x.
    level : float or None
        A horizontal reference line.
    upright : float or None
        A vertical reference line.
    square : bool
    empty : str
        Text that replaces the curves.
    whole_x : bool
        Whether x is a whole number, such as an epoch.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    series: list[Series]
    diagonal: bool = False
    level: float | None = None
    upright: float | None = None
    square: bool = False
    empty: str = "not estimable"
    whole_x: bool = False


@dataclass(frozen=True)
class ForestRow:
    """Define one estimate with its interval.

    Attributes
    ----------
    label, group : str
    note : str
        Small print under the label.
    value, low, high : float or None
    why : str
        Reason if there is no value or no interval.
    colour : str
    second : tuple of float or None, or None
        Value and limits of the other classifier, drawn below with a hollow marker.
    """

    label: str
    group: str
    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    note: str = ""
    colour: str = INK
    second: tuple[float | None, float | None, float | None] | None = None


@dataclass(frozen=True)
class Forest:
    """Define rows of estimates on one scale.

    Attributes
    ----------
    name, title, x_label : str
    x_range : tuple of float
    reference : float or None
        Position of a line through all rows, such as the AUC of a random score.
    rows : list of ForestRow
    """

    name: str
    title: str
    x_label: str
    x_range: tuple[float, float]
    rows: list[ForestRow]
    reference: float | None = None


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`, at most `most` + 1 of them.

    Steps are 1, 2, 2.5 or 5 times a power of ten.
    """
    import math

    span = high - low
    if not span > 0:
        return [low]
    power = 10 ** math.floor(math.log10(span / most))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if span / (factor * power) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return the number of a tick without unnecessary digits."""
    return f"{value:,.10g}".replace("-", "−")
