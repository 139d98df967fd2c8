"""Write figures as files for a manuscript: SVG and, made from it, PDF; the same bytes for the same figure."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from metaswin.files import atomic, write_text
from metaswin.report.charts import Chart, Forest
from metaswin.report.svg import chart_file, forest_file

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.transforms import Transform

ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def write_figure(figure: Chart | Forest, folder: Path) -> None:
    """Write ``<name>.svg`` and ``<name>.pdf``; of a chart only what the page shows at first."""
    svg = forest_file(figure) if isinstance(figure, Forest) else chart_file(figure)
    write_text(folder / f"{figure.name}.svg", svg)
    with atomic(folder / f"{figure.name}.pdf") as temporary:
        _write_pdf(svg, temporary, figure.title)


def _write_pdf(svg: str, path: Path, title: str) -> None:
    """A unit of the drawing is a point of the page; matplotlib writes the PDF and embeds its DejaVu Sans."""
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
    """An element of `metaswin.report.svg` for matplotlib; None for one that draws nothing itself."""
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
