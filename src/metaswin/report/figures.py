"""Figures as SVG (inlined into the report) and PDF."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaswin.files import atomic, write_text
from metaswin.report.data import Endpoint
from metaswin.report.numbers import HEAD_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, GRID = "#1b2430", "#5b6675", "#c9d0d9", "#e8ebef"
HEADLINE = "#0072B2"
# Okabe & Ito's palette, told apart by people with any colour vision; dashes tell the lines apart in grey.
STYLES = {
    "clinical": ("#E69F00", (0, (5, 1.5))),
    "radiomics": ("#009E73", (0, (3, 1, 1, 1))),
    "peri_radiomics": ("#CC79A7", (0, (1, 1))),
    "deep": ("#D55E00", (0, (7, 2, 1, 2))),
    "volume": ("#4d4d4d", (0, (2, 2))),
    "control": ("#8c6bb1", (0, (1, 2))),
    "headline": (HEADLINE, "solid"),
}
RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metaswin",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


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


def roc_figure(endpoint: Endpoint, stem: Path) -> str:
    """Mean ROC curves of the headline (with ± 1 SD over folds), each modality alone and the controls."""
    alone = endpoint.alone()
    shown = [arm for _, arm in alone]
    others = [arm for arm in endpoint.controls() if arm not in shown]
    lines = [*alone, *(("volume" if arm == "volume" else "control", arm) for arm in others)]
    lines = [*(line for line in lines if line[1] != endpoint.headline), ("headline", endpoint.headline)]
    table = endpoint.tables["roc"]
    with _figure(6.2, 5.6) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1)
        for kind, arm in lines:
            curve = table[(table["arm"] == arm) & (table["head"] == endpoint.head)]
            if not len(curve):
                continue
            main = kind == "headline"
            colour, dashes = STYLES[kind]
            label = f"{endpoint.label(arm)}: {endpoint.metric(arm, endpoint.head).text}"
            axes.plot(
                curve["fpr"], curve["tpr"], color=colour, linestyle=dashes, linewidth=2.6 if main else 1.6, label=label
            )
            if main and curve["tpr_sd"].notna().all():
                low, high = (np.clip(curve["tpr"] + sign * curve["tpr_sd"], 0, 1) for sign in (-1, 1))
                axes.fill_between(curve["fpr"], low, high, color=colour, alpha=0.14, linewidth=0)
        if len(axes.lines) == 1:
            axes.text(0.5, 0.55, "not estimable", ha="center", color=MUTED)
        else:
            handles, labels = axes.get_legend_handles_labels()
            order = [len(handles) - 1, *range(len(handles) - 1)]
            legend = axes.legend(
                [handles[k] for k in order],
                [labels[k] for k in order],
                loc="lower right",
                fontsize=9,
                title="Mean AUC of the folds",
            )
            legend.set_alignment("left")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set(xlabel="1 − specificity", ylabel="Sensitivity")
        return _save(figure, stem, f"Mean ROC curves of {endpoint.name}")


def arms_figure(endpoint: Endpoint, stem: Path) -> str:
    """AUC of every arm and head with its interval: the answering head filled, the other hollow."""
    arms = endpoint.arms
    with _figure(6.2, 1.2 + 0.34 * len(arms)) as (figure, axes):
        axes.axvline(0.5, color=LINE, linewidth=1)
        for arm, head in endpoint.summary.index:
            found = endpoint.metric(arm, head)
            marks = _MARKS[head != endpoint.head]
            y = arms.index(arm) + (-0.14 if head == endpoint.head else 0.14)
            colour = HEADLINE if arm == endpoint.headline else INK
            if found.value is None:
                axes.text(0.5, y, "not estimable", va="center", fontsize=7.5, color=MUTED)
                continue
            if found.low is not None:
                axes.plot([found.low, found.high], [y, y], color=colour, linewidth=marks["width"])
            axes.plot(found.value, y, **_marker(marks, colour))
        axes.set_yticks(range(len(arms)), [endpoint.label(arm) for arm in arms], color=INK)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"AUC: mean of the folds, {endpoint.confidence:.0%} interval")
        for head in endpoint.heads:
            axes.plot([], [], label=HEAD_NAMES.get(head, head), **_marker(_MARKS[head != endpoint.head], INK))
        figure.legend(loc="outside upper center", ncols=2, fontsize=9)
        return _save(figure, stem, f"AUC of every arm of {endpoint.name} with intervals")


_MARKS = (
    {"marker": "o", "size": 6, "width": 1.9, "filled": True},
    {"marker": "s", "size": 4.5, "width": 0.9, "filled": False},
)


def _marker(marks: dict[str, Any], colour: str) -> dict[str, Any]:
    return {
        "marker": marks["marker"],
        "markersize": marks["size"],
        "color": colour,
        "markerfacecolor": colour if marks["filled"] else "white",
        "linestyle": "none",
    }


def training_figure(endpoint: Endpoint, stem: Path) -> str:
    """Loss by epoch of each fold's outer network."""
    with _figure(6.2, 3.0) as (figure, axes):
        for record in endpoint.training:
            losses = record["losses"]
            axes.plot(range(1, len(losses) + 1), losses, color=HEADLINE, linewidth=1.3, alpha=0.75)
            inner = record["holdout"]["losses"]
            if inner:
                axes.plot(range(1, len(inner) + 1), inner, color="#D55E00", linewidth=1.3, linestyle="--", alpha=0.75)
        axes.plot([], [], color=HEADLINE, label="training rows, one line a fold")
        if any(record["holdout"]["losses"] for record in endpoint.training):
            axes.plot([], [], color="#D55E00", linestyle="--", label="rows held out for early stopping")
        axes.set(xlabel="Epoch", ylabel="Loss")
        axes.grid(color=GRID, linewidth=0.8)
        axes.legend(fontsize=9)
        return _save(figure, stem, f"Training curves of the deep networks of {endpoint.name}")


def _save(figure: "Figure", stem: Path, title: str) -> str:
    """Write ``<stem>.svg`` and ``<stem>.pdf``, the same bytes for the same figure; return the SVG to inline."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": title})
    write_text(stem.with_suffix(".svg"), buffer.getvalue())
    with atomic(stem.with_suffix(".pdf")) as temporary:
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Title": title})
    return inline(buffer.getvalue(), stem.name, title)


def inline(svg: str, prefix: str, title: str) -> str:
    """An SVG to put into HTML: no prolog, no metadata, identifiers of its own, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
