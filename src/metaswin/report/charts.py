"""What a figure shows, apart from how it is drawn: curves, points and rows with intervals."""

from dataclasses import dataclass, field

INK, MUTED, LINE, GRID = "#1b2430", "#5b6675", "#c9d0d9", "#e8ebef"
PRIMARY = "#0072B2"
WRONG = "#a3420a"


@dataclass(frozen=True)
class Style:
    """Colour and dashes of a line (lengths in points); dashes tell lines apart in grey.

    Attributes
    ----------
    colour : str
    dashes : tuple of float
        Lengths of strokes and gaps; empty for a solid line.
    width : float
    """

    colour: str
    dashes: tuple[float, ...] = ()
    width: float = 1.6


# Okabe & Ito's palette, distinguishable with any colour vision.
PRIMARY_STYLE = Style(PRIMARY, (), 2.6)
PLAIN = Style(MUTED, (), 1.2)
STYLES = {
    "clinical": Style("#E69F00", (7, 2)),
    "radiomics": Style("#009E73", (6, 2, 1.5, 2)),
    "peri_radiomics": Style("#CC79A7", (2, 2)),
    "deep": Style("#D55E00", (10, 3, 3, 3)),
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
    """One curve, set of points or set of columns.

    Attributes
    ----------
    key : str
        What a button in the legend turns on and off; series of one key belong together.
    label : str
        For the legend; empty for a series that belongs to another one of the same key.
    x, y : list of float
    low, high : list of float or None
        Around `y`: a band for lines and steps, error bars for points. None within the lists where there is none.
    kind : str
        ``line``, ``step`` (constant to the right), ``points`` or ``columns``.
    style : Style
    shown : bool
        Whether it is drawn at first; the legend can turn it on.
    notes : list of str
        For points: what else to tell of each one.
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
    """A figure with two axes.

    Attributes
    ----------
    name : str
        Of its files and identifiers.
    title, x_label, y_label : str
    x_range, y_range : tuple of float
    series : list of Series
        Drawn in this order; none means that nothing is estimable, and `empty` says why.
    diagonal : bool
        Whether to draw the line y = x.
    level : float or None
        A horizontal reference line.
    upright : float or None
        A vertical reference line.
    square : bool
    empty : str
        Said in place of curves.
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
    """One estimate with its interval.

    Attributes
    ----------
    label, group : str
    note : str
        Small print under the label.
    value, low, high : float or None
    why : str
        Why there is no value, or no interval.
    colour : str
    second : tuple of float or None, or None
        Value and limits of the other classifier, drawn hollow below.
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
    """Rows of estimates on one scale.

    Attributes
    ----------
    name, title, x_label : str
    x_range : tuple of float
    reference : float or None
        A line through all rows, such as the AUC of a coin.
    rows : list of ForestRow
    """

    name: str
    title: str
    x_label: str
    x_range: tuple[float, float]
    rows: list[ForestRow]
    reference: float | None = None


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` + 1 of them.

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
    """A tick's number without needless digits."""
    return f"{value:,.10g}".replace("-", "−")
