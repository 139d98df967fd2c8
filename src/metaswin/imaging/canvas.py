"""Draw images (planes of a volume, panels, outlines and text) and write them as a small PNG.

The noise of a CT makes a PNG large. Therefore the number of grey levels is reduced until the file is small enough. If
fewer levels are not enough, the greys are also smoothed. Everything that is drawn over the greys keeps its exact
colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont

from metaswin.core.files import atomic

Colour = tuple[int, int, int]
MOST_BYTES = 60_000
# Number of grey levels and standard deviation of the smoothing (pixels), the best combination first.
GREYS = [(steps, sigma) for sigma in (0.0, 0.7, 1.5, 3.0) for steps in (64, 48, 32, 24, 16)]
TEXT_SIZE = 11


class Canvas:
    """Layers of one image: greys, colour tints and lines.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    lines : sequence of (int, int, int)
        Colours of the line layer.
    tints : sequence of (int, int, int), optional
        Colours that may be laid over the greys.
    opacity : sequence of float, optional
        Opacity of each tint (0…1).

    Attributes
    ----------
    grey : ndarray of uint8, shape (height, width)
    tint, line : ndarray of uint8, same shape
        0 means nothing, i means colour number i - 1.
    sharp : ndarray of bool, same shape
        Text and boxes, which are never smoothed.
    """

    def __init__(
        self,
        width: int,
        height: int,
        lines: Sequence[Colour],
        tints: Sequence[Colour] = (),
        opacity: Sequence[float] = (),
    ) -> None:
        self.grey = np.zeros((height, width), dtype=np.uint8)
        self.tint = np.zeros_like(self.grey)
        self.line = np.zeros_like(self.grey)
        self.sharp = np.zeros((height, width), dtype=bool)
        self.lines, self.tints, self.opacity = list(lines), list(tints), list(opacity)

    def write_words(self, x: int, y: int, words: str, anchor: str = "lm", size: int = TEXT_SIZE) -> None:
        """Write white text with a black rim at a point, over all layers.

        `anchor` has Pillow's meaning; ``lm`` is left, middle.
        """
        image = Image.fromarray(self.grey)
        ImageDraw.Draw(image).text(
            (x, y), words, fill=255, font=_font(size), anchor=anchor, stroke_width=2, stroke_fill=0
        )
        self._put(np.array(image))

    def fill(self, rows: slice, columns: slice, grey: int) -> None:
        """Fill a box with one grey, over all layers."""
        changed = self.grey.copy()
        changed[rows, columns] = grey
        self._put(changed)

    def _put(self, grey: np.ndarray) -> None:
        covered = grey != self.grey
        self.sharp |= covered
        self.tint[covered], self.line[covered] = 0, 0
        self.grey = grey

    def save(self, path: str | Path, most: int = MOST_BYTES) -> None:
        """Write a PNG of at most `most` bytes with the best quality that fits.

        If no combination in `GREYS` is small enough, the coarsest one is written.
        """
        for steps, sigma in GREYS:
            if steps * (len(self.tints) + 1) + len(self.lines) > 256:
                continue
            data = self.png(steps, sigma)
            if len(data) <= most:
                break
        with atomic(path) as temporary:
            temporary.write_bytes(data)

    def png(self, steps: int, sigma: float = 0.0) -> bytes:
        """Return the image as PNG with `steps` grey levels, smoothed by a Gaussian of `sigma` pixels."""
        grey = self.grey.astype(float)
        if sigma:
            from scipy import ndimage

            grey = np.where(self.sharp, grey, ndimage.gaussian_filter(grey, sigma))
        level = np.rint(grey / 255 * (steps - 1)).astype(np.uint8)
        pixels = level + steps * self.tint
        offset = steps * (len(self.tints) + 1)
        pixels = np.where(self.line > 0, offset + self.line - 1, pixels).astype(np.uint8)
        greys = np.repeat(np.linspace(0, 255, steps)[:, None], 3, axis=1)
        tinted = [greys * (1 - a) + np.array(c) * a for c, a in zip(self.tints, self.opacity, strict=True)]
        palette = np.rint(np.concatenate([greys, *tinted, np.reshape(self.lines, (-1, 3))])).astype(np.uint8)
        image = Image.fromarray(pixels)
        image.putpalette(palette.tobytes())
        written = BytesIO()
        image.save(written, format="PNG", optimize=True)
        return written.getvalue()


def text_width(words: str, size: int = TEXT_SIZE) -> int:
    """Return the width of a text in pixels."""
    return round(_font(size).getlength(words))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font DejaVu Sans of matplotlib; Pillow's own font has no ³ and no dash."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


PIXELS = 256  # edge of a panel
GAP = 4
HEAD = 20  # height of the strip above the panels
ROW = 16  # height of a legend row
WIDTH = 3 * PIXELS + 2 * GAP
SCALES = (5, 10, 20, 50, 100)  # mm


@dataclass(frozen=True)
class Line:
    """Style of a structure's outline: colour number, width in pixels, and whether it is dotted."""

    colour: int
    width: int = 1
    dotted: bool = False


def panel_box(position: int) -> tuple[slice, slice]:
    """Return the rows and columns of a panel on the canvas."""
    left = position * (PIXELS + GAP)
    return slice(HEAD, HEAD + PIXELS), slice(left, left + PIXELS)


def outline(mask: np.ndarray, line: Line) -> np.ndarray:
    """Return the pixels of `mask` within `line.width` of its edge.

    The border of the panel does not count as an edge of the mask.
    """
    inner = mask
    for _ in range(line.width):
        padded = np.pad(inner, 1, mode="edge")
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge = mask & ~inner
    if line.dotted:
        rows, columns = np.indices(mask.shape)
        edge &= (rows + columns) // 2 % 2 == 0
    return edge


def windowed(hu: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return HU as greys 0…255 within a window."""
    low, high = window
    return np.rint((np.clip(hu, low, high) - low) / (high - low) * 255).astype(np.uint8)


def label_panel(canvas: Canvas, position: int, plane: str, mm_per_pixel: float) -> None:
    """Write the name of the plane, the orientation letters at the panel's edges and a scale bar."""
    rows, columns = panel_box(position)
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    middle_x, middle_y = (left + right) // 2, (top + bottom) // 2
    west, east, north, south = tuple(LETTERS[plane])
    canvas.write_words(left + 4, top + 9, plane)
    for x, y, letter, anchor in [
        (left + 4, middle_y, west, "lm"),
        (right - 4, middle_y, east, "rm"),
        (middle_x, top + 9, north, "mm"),
        (middle_x, bottom - 9, south, "mm"),
    ]:
        canvas.write_words(x, y, letter, anchor)
    length = scale_length(PIXELS * mm_per_pixel)
    pixels = round(length / mm_per_pixel)
    start, stop = left + 6, left + 6 + pixels
    canvas.fill(slice(bottom - 9, bottom - 5), slice(start - 1, stop + 1), 0)
    canvas.fill(slice(bottom - 8, bottom - 6), slice(start, stop), 255)
    canvas.write_words(start, bottom - 18, f"{length} mm")


def scale_length(side: float) -> int:
    """Return the length of the scale bar (mm): the longest of `SCALES` within a third of the panel."""
    return max((length for length in SCALES if length <= side / 3), default=SCALES[0])


def legend_rows(entries: Sequence[str]) -> int:
    """Return the number of rows that a legend with these entries needs."""
    return 1 + max((row for row, _ in _places(entries)), default=-1)


def draw_legend(canvas: Canvas, top: int, entries: Sequence[tuple[str, Line]]) -> None:
    """Draw the legend from row `top` downwards: a sample of each line and its text."""
    for (words, line), (row, x) in zip(entries, _places([words for words, _ in entries]), strict=True):
        y = top + row * ROW + ROW // 2
        piece = np.ones((line.width, 18), dtype=bool)
        if line.dotted:
            piece &= np.arange(18) // 2 % 2 == 0
        canvas.line[y : y + line.width, x : x + 18][piece] = line.colour
        canvas.write_words(x + 23, y, words)


def _places(entries: Sequence[str]) -> list[tuple[int, int]]:
    """Return the row and the left edge of each entry; an entry that does not fit starts a new row."""
    places, row, x = [], 0, 4
    for words in entries:
        width = 23 + text_width(words) + TEXT_SIZE
        if x > 4 and x + width > WIDTH:
            row, x = row + 1, 4
        places.append((row, x))
        x += width
    return places


# Axes of each plane in LPS: to the right, downwards. The axial plane is viewed from the feet (radiological
# convention).
AXES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
# Orientation letters at the left, right, upper and lower edge.
LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@dataclass(frozen=True)
class Plane:
    """A square plane of `pixels` × `pixels` around `centre` (LPS, mm).

    Attributes
    ----------
    name : str
        ``axial``, ``coronal`` or ``sagittal``.
    centre : tuple of float
    side : float
        Edge of the square (mm).
    pixels : int
    """

    name: str
    centre: tuple[float, float, float]
    side: float
    pixels: int

    def cut(self, image: sitk.Image, outside: float, linear: bool = False) -> np.ndarray:
        """Return the values of `image` in the plane (rows, columns); points beyond the image get `outside`.

        A pixel has the same size in mm along both axes, independent of the voxel size. With `linear` the values are
        interpolated; otherwise each pixel gets the value of the nearest voxel.
        """
        right, down = np.array(AXES[self.name])
        pixel = self.side / self.pixels
        origin = np.array(self.centre) - (right + down) * (self.pixels - 1) / 2 * pixel
        direction = np.stack([right, down, np.cross(right, down)], axis=1)
        plane = sitk.Resample(
            image,
            (self.pixels, self.pixels, 1),
            sitk.Transform(),
            sitk.sitkLinear if linear else sitk.sitkNearestNeighbor,
            origin.tolist(),
            (pixel, pixel, 1.0),
            direction.ravel().tolist(),
            outside,
        )
        return sitk.GetArrayFromImage(plane)[0]


def planes_through(centre: tuple[float, float, float], side: float, pixels: int) -> list[Plane]:
    """Return the axial, coronal and sagittal plane through a point."""
    return [Plane(name, centre, side, pixels) for name in AXES]
