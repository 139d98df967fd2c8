"""Draw charts as files for a manuscript: SVG and PDF, the same bytes for the same figure."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaswin.files import atomic, write_text
from metaswin.report.charts import GRID, INK, LINE, MUTED, Chart, Forest, ForestRow, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metaswin",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
}


def write_chart(chart: Chart, folder: Path) -> None:
    """Write ``<name>.svg`` and ``<name>.pdf``; only what the page shows at first is drawn."""
    shown = [series for series in chart.series if series.shown]
    with _figure(6.2, 5.6 if chart.square else 3.8) as (figure, axes):
        if chart.diagonal:
            axes.axline((0, 0), slope=1, color=LINE, linewidth=1)
        if chart.level is not None:
            axes.axhline(chart.level, color=LINE, linewidth=1)
        if chart.upright is not None:
            axes.axvline(chart.upright, color=MUTED, linewidth=1, linestyle="--")
        for series in shown:
            _draw(series, axes)
        if not shown:
            axes.text(0.5, 0.5, chart.empty, ha="center", color=MUTED, transform=axes.transAxes)
        axes.set(xlim=chart.x_range, ylim=chart.y_range, xlabel=chart.x_label, ylabel=chart.y_label)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        if any(series.label for series in shown):
            figure.legend(loc="outside lower center", ncols=2)
        _save(figure, folder / chart.name, chart.title)


def write_forest(forest: Forest, folder: Path) -> None:
    """Write ``<name>.svg`` and ``<name>.pdf``."""
    lines: list[tuple[float, str, bool]] = []
    y = 0.0
    places = []
    for number, row in enumerate(forest.rows):
        if row.group and (number == 0 or row.group != forest.rows[number - 1].group):
            lines.append((y, row.group, True))
            y += 1
        lines.append((y, row.label, False))
        places.append(y)
        y += 1
    with _figure(6.6, 1.0 + 0.26 * max(y, 3)) as (figure, axes):
        if forest.reference is not None:
            axes.axvline(forest.reference, color=LINE, linewidth=1)
        for row, at in zip(forest.rows, places, strict=True):
            if row.value is None:
                axes.text(forest.x_range[0], at, " not estimable", va="center", fontsize=7.5, color=MUTED)
                continue
            shift = 0.16 if row.second else 0.0
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [at - shift] * 2, color=row.colour, linewidth=1.6)
            axes.plot(row.value, at - shift, marker="o", markersize=5.5, color=row.colour)
            _draw_second(row, at + 0.22, axes)
        axes.set_yticks([at for at, _, _ in lines], [text for _, text, _ in lines], fontsize=8.5)
        for label, (_, _, group) in zip(axes.get_yticklabels(), lines, strict=True):
            label.set(color=MUTED if group else INK, fontweight="bold" if group else "normal")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set(xlim=forest.x_range, ylim=(max(y, 1) - 0.4, -0.6), xlabel=forest.x_label)
        _save(figure, folder / forest.name, forest.title)


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure of `width` × `height` inches in the report's style, drawn without a display."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots()


def _draw(series: Series, axes: "Axes") -> None:
    style = series.style
    look = {"color": style.colour, "linewidth": style.width, "label": series.label or None}
    look["linestyle"] = (0, tuple(length / style.width for length in style.dashes)) if style.dashes else "solid"
    if series.kind == "columns":
        width = series.x[1] - series.x[0] if len(series.x) > 1 else 1.0
        axes.bar(series.x, series.y, width=width, color=style.colour, alpha=0.55, label=look["label"])
        return
    if series.kind == "points":
        axes.plot(series.x, series.y, marker="o", markersize=4, **{**look, "linewidth": 1.0})
    else:
        axes.plot(series.x, series.y, drawstyle="steps-post" if series.kind == "step" else "default", **look)
    if series.low is None or series.high is None:
        return
    low, high = (np.array(limits, dtype="float64") for limits in (series.low, series.high))
    if series.kind == "points":
        axes.vlines(series.x, low, high, color=style.colour, linewidth=1.2)
    else:
        step = "post" if series.kind == "step" else None
        axes.fill_between(series.x, low, high, color=style.colour, alpha=0.14, linewidth=0, step=step)


def _draw_second(row: ForestRow, at: float, axes: "Axes") -> None:
    """The other head, hollow."""
    value, low, high = row.second or (None, None, None)
    if value is None:
        return
    if low is not None and high is not None:
        axes.plot([low, high], [at, at], color=row.colour, linewidth=0.8)
    axes.plot(value, at, marker="o", markersize=4, color=row.colour, markerfacecolor="white")


def _save(figure: "Figure", stem: Path, title: str) -> None:
    """Write both formats; the layout is made once, since it costs more than the drawing."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Title": title})
    write_text(stem.with_suffix(".svg"), buffer.getvalue())
    with atomic(stem.with_suffix(".pdf")) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata={"CreationDate": None, "Title": title})
