"""Draw charts as SVG for the page, and as SVG and PDF files for manuscripts.

In the page, report.js adds the read-out and the buttons. This module also converts the SVG of a file to a PDF. It
supports only the elements that are written here: ``line``, ``circle``, ``path`` of ``M``, ``L`` and ``Z``, ``text``
and ``g``.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree

from metaswin.core.files import atomic, write_text
from metaswin.report.charts import GRID, INK, LINE, MUTED, Chart, Forest, Series, Style, tick_text, ticks

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.transforms import Transform


WIDTH, LEFT, RIGHT, TOP, BOTTOM = 420.0, 52.0, 12.0, 10.0, 44.0
ROW = 16.0  # height of a row of a file's legend or forest


def chart_svg(chart: Chart) -> str:
    """Return an SVG of a chart.

    The corners and ranges of the plot are in data attributes. The script uses them to convert the position of the
    pointer to numbers. Each series is a group ``g.series`` with its key.
    """
    plane = _Plane(chart)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH:g} {plane.height:g}" role="img" tabindex="0" '
        f'aria-label="{_text(chart.title)}" data-left="{plane.left:g}" data-right="{plane.right:g}" '
        f'data-top="{plane.top:g}" data-bottom="{plane.bottom:g}" data-x0="{chart.x_range[0]:g}" '
        f'data-x1="{chart.x_range[1]:g}" data-y0="{chart.y_range[0]:g}" data-y1="{chart.y_range[1]:g}" '
        f'data-x="{_text(chart.x_label)}" data-y="{_text(chart.y_label)}"'
        f"{' data-whole' if chart.whole_x else ''}>",
        *_plot(chart, plane),
    ]
    parts.append('<g class="cursor" visibility="hidden"></g></svg>')
    return "".join(parts)


def chart_file(chart: Chart) -> str:
    """Return a chart as a separate file, with the series that the page shows initially and a legend below.

    The legend shows the last series first.
    """
    chart = replace(chart, series=[series for series in chart.series if series.shown])
    plane = _Plane(chart)
    parts, y = _plot(chart, plane), plane.height + 8
    for series in reversed(chart.series):
        if series.label:
            parts.append(f'<path d="M{plane.left:g} {y:g}L{plane.left + 30:g} {y:g}" {_stroke(series.style)}/>')
            parts.append(_label(plane.left + 38, y + 3.5, series.label, "start", INK))
            y += ROW
    return _file(chart.title, WIDTH, y, parts)


def forest_file(forest: Forest) -> str:
    """Return a forest plot as a separate file, with names, estimates on one scale, and numbers."""
    left = 24 + 6.2 * max([len(row.label) for row in forest.rows], default=0)  # wide enough for 10 units of DejaVu Sans
    right = left + 230
    x = partial(_place, forest, left, right - left, "")
    parts: list[str] = []
    y = TOP
    for number, row in enumerate(forest.rows):
        if row.group and (number == 0 or row.group != forest.rows[number - 1].group):
            y += 1.4 * ROW
            ground = 8, y - 9, 8 + 6.2 * len(row.group), y + 3  # covers the lines behind a long name
            parts += [_box(*ground, "#fff"), _label(8, y, row.group, "start", MUTED)]
        y += 1.4 * ROW if row.second else ROW
        middle = y - 3.5
        parts += _estimate((row.value, row.low, row.high), middle - 3 if row.second else middle, row.colour, True, x)
        parts += _estimate(row.second, middle + 6, row.colour, False, x) if row.second else []
        interval = f" ({row.low:.3f} to {row.high:.3f})" if row.low is not None and row.high is not None else ""
        said = "not estimable" if row.value is None else f"{row.value:.3f}{interval}"
        parts.append(_label(16, y, row.label, "start", row.colour))
        parts.append(_label(right + 14, y, said, "start", MUTED if row.value is None else INK))
    y += ROW / 2
    grid = [(value, GRID) for value in ticks(*forest.x_range, most=5)]
    lines = [*grid, *([] if forest.reference is None else [(forest.reference, MUTED)])]
    back = [_line(float(x(value)), TOP, float(x(value)), y, colour) for value, colour in lines]
    parts.append(_line(left, y, right, y, MUTED))
    parts += [_label(float(x(value)), y + 15, tick_text(value), "middle", MUTED) for value, _ in grid]
    parts.append(_label((left + right) / 2, y + 32, forest.x_label, "middle", INK))
    return _file(forest.title, right + 140, y + 42, [*back, *parts])


def _file(title: str, width: float, height: float, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}pt" '
        f'height="{height:g}pt" font-family="DejaVu Sans, Verdana, sans-serif" font-size="10">'
        f"<title>{_text(title)}</title>"
        f"{_box(0, 0, width, height, '#fff')}{''.join(parts)}</svg>\n"
    )


def _plot(chart: Chart, plane: "_Plane") -> list[str]:
    """Return axes, reference lines and series."""
    parts = _axes(chart, plane)
    if chart.diagonal:
        low, high = max(chart.x_range[0], chart.y_range[0]), min(chart.x_range[1], chart.y_range[1])
        parts.append(_line(plane.x(low), plane.y(low), plane.x(high), plane.y(high), LINE))
    if chart.level is not None:
        parts.append(_line(plane.left, plane.y(chart.level), plane.right, plane.y(chart.level), LINE))
    if chart.upright is not None:
        parts.append(_line(plane.x(chart.upright), plane.top, plane.x(chart.upright), plane.bottom, MUTED, "4 3"))
    parts += [_series(series, plane) for series in chart.series]
    if not chart.series:
        middle = (plane.left + plane.right) / 2, (plane.top + plane.bottom) / 2
        parts.append(_label(*middle, chart.empty, "middle", MUTED))
    return parts


def swatch(style: Style) -> str:
    """Return a short line in the style of a series, for the legend."""
    return (
        '<svg class="swatch" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
        f'<path d="M1 5L29 5" {_stroke(style)}/></svg>'
    )


def track_svg(forest: Forest, number: int) -> str:
    """Return one row of a forest plot, as wide as its cell, with coordinates in percent."""
    row = forest.rows[number]
    height, at = (30, 10) if row.second else (24, 12)
    x = partial(_place, forest, 0.0, 100.0, "%")
    parts = [f'<svg class="track" width="100%" height="{height}" aria-hidden="true">']
    if forest.reference is not None:
        middle = x(forest.reference)
        parts.append(f'<line x1="{middle}" x2="{middle}" y1="0" y2="{height}" stroke="{LINE}"/>')
    parts += _estimate((row.value, row.low, row.high), at, row.colour, True, x)
    if row.second:
        parts += _estimate(row.second, 22, row.colour, False, x)
    return "".join([*parts, "</svg>"])


def _estimate(
    found: tuple[float | None, float | None, float | None], y: float, colour: str, main: bool, x: Callable[[float], str]
) -> list[str]:
    """Return a marker with its interval; that of the second classifier is hollow and thin.

    `x` gives the position of an estimate.
    """
    value, low, high = found
    if value is None:
        return []
    width, radius, fill = (2, 4.5, colour) if main else (1, 3.2, "#fff")
    parts = []
    if low is not None and high is not None:
        ends = f'x1="{x(low)}" x2="{x(high)}"'
        parts.append(f'<line {ends} y1="{y:g}" y2="{y:g}" stroke="{colour}" stroke-width="{width}"/>')
    marker = f'cx="{x(value)}" cy="{y:g}" r="{radius}"'
    return [*parts, f'<circle {marker} fill="{fill}" stroke="{colour}" stroke-width="1.4"/>']


def scale_svg(forest: Forest) -> str:
    """Return the scale below the rows of a forest plot."""
    parts = ['<svg class="track" width="100%" height="20" aria-hidden="true">']
    for value in ticks(*forest.x_range, most=5):
        at = _place(forest, 0.0, 100.0, "%", value)
        parts.append(f'<line x1="{at}" x2="{at}" y1="0" y2="5" stroke="{MUTED}"/>')
        parts.append(
            f'<text x="{at}" y="17" text-anchor="middle" font-size="11" fill="{MUTED}">{tick_text(value)}</text>'
        )
    return "".join([*parts, "</svg>"])


class _Plane:
    """Convert data to units of the SVG."""

    def __init__(self, chart: Chart) -> None:
        self.height = WIDTH - LEFT - RIGHT + TOP + BOTTOM if chart.square else 300.0
        self.left, self.right, self.top, self.bottom = LEFT, WIDTH - RIGHT, TOP, self.height - BOTTOM
        self._x, self._y = chart.x_range, chart.y_range

    def x(self, value: float) -> float:
        low, high = self._x
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self._y
        return self.bottom - (min(max(value, low), high) - low) / (high - low) * (self.bottom - self.top)


def _axes(chart: Chart, plane: _Plane) -> list[str]:
    parts = []
    for value in ticks(*chart.y_range):
        y = plane.y(value)
        parts.append(_line(plane.left, y, plane.right, y, GRID))
        parts.append(_label(plane.left - 7, y + 4, tick_text(value), "end", MUTED))
    for value in ticks(*chart.x_range):
        x = plane.x(value)
        parts.append(_line(x, plane.bottom, x, plane.bottom + 4, LINE))
        parts.append(_label(x, plane.bottom + 17, tick_text(value), "middle", MUTED))
    parts.append(_line(plane.left, plane.bottom, plane.right, plane.bottom, MUTED))
    middle = (plane.left + plane.right) / 2, (plane.top + plane.bottom) / 2
    parts.append(_label(middle[0], plane.bottom + 37, chart.x_label, "middle", INK))
    parts.append(
        f'<text x="13" y="{middle[1]:g}" transform="rotate(-90 13 {middle[1]:g})" text-anchor="middle" fill="{INK}">'
        f"{_text(chart.y_label)}</text>"
    )
    return parts


def _series(series: Series, plane: _Plane) -> str:
    hidden = "" if series.shown else ' hidden=""'
    name = f' data-label="{_text(series.label)}"' if series.label else ""
    body = {"line": _curve, "step": _curve, "points": _points, "columns": _columns}[series.kind](series, plane)
    return f'<g class="series" data-kind="{series.kind}" data-key="{_text(series.key)}"{name}{hidden}>{body}</g>'


def _curve(series: Series, plane: _Plane) -> str:
    step = series.kind == "step"
    band = ""
    if series.low is not None and series.high is not None:
        edges = [(x, low, high) for x, low, high in zip(series.x, series.low, series.high, strict=True)
                 if low is not None and high is not None]  # fmt: skip
        if edges:
            upper = _path([x for x, _, _ in edges], [high for _, _, high in edges], plane, step)
            lower = _path([x for x, _, _ in edges], [low for _, low, _ in edges], plane, step, back=True)
            band = f'<path d="M{upper}L{lower}Z" fill="{series.style.colour}" fill-opacity=".13"/>'
    points = _path(series.x, series.y, plane, step)
    return f'{band}<path class="curve" d="M{points}" {_stroke(series.style)}/>'


def _path(x: Sequence[float], y: Sequence[float], plane: _Plane, step: bool, back: bool = False) -> str:
    points = []
    for number, (a, b) in enumerate(zip(x, y, strict=True)):
        if step and number:
            points.append((plane.x(a), plane.y(y[number - 1])))
        points.append((plane.x(a), plane.y(b)))
    if back:
        points.reverse()
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _points(series: Series, plane: _Plane) -> str:
    parts = []
    for number, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        low = series.low[number] if series.low is not None else None
        high = series.high[number] if series.high is not None else None
        at = plane.x(x)
        if low is not None and high is not None:
            parts.append(_line(at, plane.y(low), at, plane.y(high), series.style.colour))
        note = f' data-note="{_text(series.notes[number])}"' if series.notes else ""
        parts.append(
            f'<circle cx="{at:.1f}" cy="{plane.y(y):.1f}" r="3.6" fill="{series.style.colour}"{note}></circle>'
        )
    if len(series.x) > 1:
        path = _path(series.x, series.y, plane, step=False)
        parts.append(f'<path d="M{path}" {_stroke(Style(series.style.colour, series.style.dashes, 1.2))}/>')
    return "".join(parts)


def _columns(series: Series, plane: _Plane) -> str:
    width = plane.x(series.x[1]) - plane.x(series.x[0]) if len(series.x) > 1 else 12.0
    base = plane.y(0.0)
    path = "".join(
        f"M{x - width / 2:.1f} {base:.1f}L{x - width / 2:.1f} {y:.1f}L{x + width / 2:.1f} {y:.1f}"
        f"L{x + width / 2:.1f} {base:.1f}Z"
        for x, y in ((plane.x(x), plane.y(y)) for x, y in zip(series.x, series.y, strict=True) if y > 0)
    )
    return f'<path d="{path}" fill="{series.style.colour}" fill-opacity=".55"/>'


def _stroke(style: Style) -> str:
    dashes = f' stroke-dasharray="{" ".join(f"{length:g}" for length in style.dashes)}"' if style.dashes else ""
    return f'fill="none" stroke="{style.colour}" stroke-width="{style.width:g}"{dashes}'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'


def _label(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{_text(text)}</text>'


def _box(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    corners = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}L{x1:.1f} {y2:.1f}Z"
    return f'<path d="{corners}" fill="{colour}"/>'


def _place(forest: Forest, left: float, width: float, unit: str, value: float) -> str:
    """Return the position of a value on the scale of a forest plot."""
    low, high = forest.x_range
    return f"{left + width * (min(max(value, low), high) - low) / (high - low):.2f}{unit}"


def _text(text: str) -> str:
    return html.escape(text, quote=True)


ALIGNED: "dict[str, Literal['left', 'center', 'right']]" = {"start": "left", "middle": "center", "end": "right"}


def write_figure(figure: Chart | Forest, folder: Path) -> None:
    """Write ``<name>.svg`` and ``<name>.pdf``; for a chart, only the series that the page shows initially."""
    svg = forest_file(figure) if isinstance(figure, Forest) else chart_file(figure)
    write_text(folder / f"{figure.name}.svg", svg)
    with atomic(folder / f"{figure.name}.pdf") as temporary:
        _write_pdf(svg, temporary, figure.title)


def _write_pdf(svg: str, path: Path, title: str) -> None:
    """Write a PDF with matplotlib, which embeds its DejaVu Sans; a unit of the drawing is a point of the page."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    place = Affine2D().scale(1, -1).translate(0, height)
    for element in root.iter():
        artist = _artist(element, float(root.attrib["font-size"]), place)
        if artist is not None:
            figure.add_artist(artist)
    FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None, "Title": title})


def _artist(element: ElementTree.Element, size: float, place: "Transform") -> "Artist | None":
    """Convert an element of the SVG to matplotlib; None for an element that draws nothing itself."""
    from matplotlib.patches import Circle, PathPatch
    from matplotlib.path import Path as Outline
    from matplotlib.text import Text

    kind, got = element.tag.rpartition("}")[2], element.attrib
    if kind == "text":
        return Text(
            float(got["x"]), float(got["y"]), element.text or "", color=got["fill"], fontfamily="DejaVu Sans",
            fontsize=size, horizontalalignment=ALIGNED[got["text-anchor"]], verticalalignment="baseline",
            rotation=90 if "transform" in got else 0, rotation_mode="anchor", parse_math=False, transform=place,
        )  # fmt: skip
    dashes = tuple(map(float, got.get("stroke-dasharray", "").split()))
    stroke = float(got.get("stroke-width", 1)) if "stroke" in got else 0.0
    look = {
        "facecolor": got.get("fill", "none"),
        "edgecolor": got.get("stroke", "none"),
        "linewidth": stroke,
        "linestyle": (0, tuple(length / stroke for length in dashes)) if dashes else "solid",
        "alpha": float(got["fill-opacity"]) if "fill-opacity" in got else None,
        "transform": place,
    }
    if kind == "circle":
        return Circle((float(got["cx"]), float(got["cy"])), float(got["r"]), **look)
    if kind == "line":
        return PathPatch(Outline([(float(got["x1"]), float(got["y1"])), (float(got["x2"]), float(got["y2"]))]), **look)
    if kind == "path":
        codes = {"M": Outline.MOVETO, "L": Outline.LINETO, "Z": Outline.CLOSEPOLY}
        steps = re.findall(r"([MLZ])([^MLZ]*)", got["d"])
        points = [tuple(map(float, at.split())) if at else (0.0, 0.0) for _, at in steps]
        return PathPatch(Outline(points, [codes[step] for step, _ in steps]), **look)
    return None
