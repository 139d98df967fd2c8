"""Draw charts as SVG to put into the page: small, without scripts; report.js adds the read-out and the buttons."""

import html
from collections.abc import Sequence

from metaswin.report.charts import GRID, INK, LINE, MUTED, Chart, Forest, Series, Style, tick_text, ticks

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 420.0, 52.0, 12.0, 10.0, 44.0


def chart_svg(chart: Chart) -> str:
    """An SVG of a chart.

    The plot's corners and ranges are in data attributes, from which the script turns the pointer's place into
    numbers; each series is a group ``g.series`` with its key.
    """
    height = WIDTH - LEFT - RIGHT + TOP + BOTTOM if chart.square else 300.0
    plane = _Plane(chart, height)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH:g} {height:g}" role="img" tabindex="0" '
        f'aria-label="{_text(chart.title)}" data-left="{plane.left:g}" data-right="{plane.right:g}" '
        f'data-top="{plane.top:g}" data-bottom="{plane.bottom:g}" data-x0="{chart.x_range[0]:g}" '
        f'data-x1="{chart.x_range[1]:g}" data-y0="{chart.y_range[0]:g}" data-y1="{chart.y_range[1]:g}" '
        f'data-x="{_text(chart.x_label)}" data-y="{_text(chart.y_label)}"'
        f"{' data-whole' if chart.whole_x else ''}>",
        *_axes(chart, plane),
    ]
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
    parts.append('<g class="cursor" visibility="hidden"></g></svg>')
    return "".join(parts)


def swatch(style: Style) -> str:
    """A short stroke in a series' style, for the legend."""
    return (
        '<svg class="swatch" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
        f'<path d="M1 5H29" {_stroke(style)}/></svg>'
    )


def track_svg(forest: Forest, number: int) -> str:
    """One row of a forest plot, as wide as its cell: coordinates in per cent."""
    row = forest.rows[number]
    height, at = (30, 10) if row.second else (24, 12)
    parts = [f'<svg class="track" width="100%" height="{height}" aria-hidden="true">']
    if forest.reference is not None:
        x = _share(forest.reference, forest)
        parts.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{height}" stroke="{LINE}"/>')
    parts += _estimate((row.value, row.low, row.high), at, row.colour, True, forest)
    if row.second:
        parts += _estimate(row.second, 22, row.colour, False, forest)
    return "".join([*parts, "</svg>"])


def _estimate(
    found: tuple[float | None, float | None, float | None], y: int, colour: str, main: bool, forest: Forest
) -> list[str]:
    """A marker with its interval; the second head's is hollow and thin."""
    value, low, high = found
    if value is None:
        return []
    width, radius, fill = (2, 4.5, colour) if main else (1, 3.2, "#fff")
    parts = []
    if low is not None and high is not None:
        ends = f'x1="{_share(low, forest)}" x2="{_share(high, forest)}"'
        parts.append(f'<line {ends} y1="{y}" y2="{y}" stroke="{colour}" stroke-width="{width}"/>')
    marker = f'cx="{_share(value, forest)}" cy="{y}" r="{radius}"'
    return [*parts, f'<circle {marker} fill="{fill}" stroke="{colour}" stroke-width="1.4"/>']


def scale_svg(forest: Forest) -> str:
    """The scale under the rows of a forest plot."""
    parts = ['<svg class="track" width="100%" height="20" aria-hidden="true">']
    for value in ticks(*forest.x_range, most=5):
        at = _share(value, forest)
        parts.append(f'<line x1="{at}" x2="{at}" y1="0" y2="5" stroke="{MUTED}"/>')
        parts.append(
            f'<text x="{at}" y="17" text-anchor="middle" font-size="11" fill="{MUTED}">{tick_text(value)}</text>'
        )
    return "".join([*parts, "</svg>"])


class _Plane:
    """From data to the SVG's units."""

    def __init__(self, chart: Chart, height: float) -> None:
        self.left, self.right, self.top, self.bottom = LEFT, WIDTH - RIGHT, TOP, height - BOTTOM
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
        f'<text transform="translate(13 {middle[1]:g}) rotate(-90)" text-anchor="middle" fill="{INK}">'
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
        f"M{plane.x(x) - width / 2:.1f} {base:.1f}V{plane.y(y):.1f}h{width:.1f}V{base:.1f}Z"
        for x, y in zip(series.x, series.y, strict=True)
        if y > 0
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


def _share(value: float, forest: Forest) -> str:
    low, high = forest.x_range
    return f"{100 * (min(max(value, low), high) - low) / (high - low):.2f}%"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
