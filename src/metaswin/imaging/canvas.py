"""Draw images: planes of a volume, panels, outlines and text, written as a small PNG.

Noise of a CT makes a PNG large. The greys are therefore written in as many steps as the size allows, smoothed where
few steps are not enough, and what is drawn over them keeps its exact colours.
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
# Steps of grey and smoothing (standard deviation in pixels), the best first.
GREYS = [(steps, sigma) for sigma in (0.0, 0.7, 1.5, 3.0) for steps in (64, 48, 32, 24, 16)]
TEXT_SIZE = 11


class Canvas:
    """Layers of one image.

    Parameters
    ----------
    width, height : int
        Pixels.
    lines : sequence of (int, int, int)
        Colours of the layer of lines.
    tints : sequence of (int, int, int), optional
        Colours that may be laid over the greys.
    opacity : sequence of float, optional
        How much of each tint covers the grey (0…1).

    Attributes
    ----------
    grey : ndarray of uint8, shape (height, width)
    tint, line : ndarray of uint8, same shape
        0 nothing, i the colour i - 1.
    sharp : ndarray of bool, same shape
        Words and boxes, which are never smoothed.
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
        """White words with a black rim at a point, over everything; `anchor` as in Pillow, ``lm``: left, middle."""
        image = Image.fromarray(self.grey)
        ImageDraw.Draw(image).text(
            (x, y), words, fill=255, font=_font(size), anchor=anchor, stroke_width=2, stroke_fill=0
        )
        self._put(np.array(image))

    def fill(self, rows: slice, columns: slice, grey: int) -> None:
        """A box of one grey, over everything."""
        changed = self.grey.copy()
        changed[rows, columns] = grey
        self._put(changed)

    def _put(self, grey: np.ndarray) -> None:
        covered = grey != self.grey
        self.sharp |= covered
        self.tint[covered], self.line[covered] = 0, 0
        self.grey = grey

    def save(self, path: str | Path, most: int = MOST_BYTES) -> None:
        """Write a PNG of at most `most` bytes, as fine as that allows (the coarsest where nothing is small enough)."""
        for steps, sigma in GREYS:
            if steps * (len(self.tints) + 1) + len(self.lines) > 256:
                continue
            data = self.png(steps, sigma)
            if len(data) <= most:
                break
        with atomic(path) as temporary:
            temporary.write_bytes(data)

    def png(self, steps: int, sigma: float = 0.0) -> bytes:
        """Return the image as PNG with so many steps of grey, smoothed by a Gaussian of `sigma` pixels."""
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
    """Width of words in pixels."""
    return round(_font(size).getlength(words))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own font has no ³ and no dash."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


PIXELS = 256  # edge of a panel
GAP = 4
HEAD = 20  # pixels above the panels
ROW = 16  # height of a row of the legend
WIDTH = 3 * PIXELS + 2 * GAP
SCALES = (5, 10, 20, 50, 100)  # mm


@dataclass(frozen=True)
class Line:
    """How a structure is drawn: its colour's number, its width in pixels, whether it is dotted."""

    colour: int
    width: int = 1
    dotted: bool = False


def panel_box(position: int) -> tuple[slice, slice]:
    """Rows and columns of a panel on the canvas."""
    left = position * (PIXELS + GAP)
    return slice(HEAD, HEAD + PIXELS), slice(left, left + PIXELS)


def outline(mask: np.ndarray, line: Line) -> np.ndarray:
    """Pixels of `mask` within `line.width` of its edge; none where the mask is merely cut off by the panel."""
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
    """HU as greys 0…255 within a window."""
    low, high = window
    return np.rint((np.clip(hu, low, high) - low) / (high - low) * 255).astype(np.uint8)


def label_panel(canvas: Canvas, position: int, plane: str, mm_per_pixel: float) -> None:
    """Name of the plane, letters of orientation at its edges, and a scale."""
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
    """Length of the scale (mm): the longest of `SCALES` within a third of the panel."""
    return max((length for length in SCALES if length <= side / 3), default=SCALES[0])


def legend_rows(entries: Sequence[str]) -> int:
    """Rows that a legend of these words takes."""
    return 1 + max((row for row, _ in _places(entries)), default=-1)


def draw_legend(canvas: Canvas, top: int, entries: Sequence[tuple[str, Line]]) -> None:
    """Words with a piece of their line, in rows from `top` on."""
    for (words, line), (row, x) in zip(entries, _places([words for words, _ in entries]), strict=True):
        y = top + row * ROW + ROW // 2
        piece = np.ones((line.width, 18), dtype=bool)
        if line.dotted:
            piece &= np.arange(18) // 2 % 2 == 0
        canvas.line[y : y + line.width, x : x + 18][piece] = line.colour
        canvas.write_words(x + 23, y, words)


def _places(entries: Sequence[str]) -> list[tuple[int, int]]:
    """Row and left edge of each entry; a row that is full is followed by another."""
    places, row, x = [], 0, 4
    for words in entries:
        width = 23 + text_width(words) + TEXT_SIZE
        if x > 4 and x + width > WIDTH:
            row, x = row + 1, 4
        places.append((row, x))
        x += width
    return places


# Axes of each plane in LPS: to the right, downwards. The axial plane is seen from the feet, as radiologists do.
AXES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
# Letters at the left, right, upper and lower edge.
LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@dataclass(frozen=True)
class Plane:
    """A square of `pixels` × `pixels` around `centre` (LPS, mm).

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
        """Values of `image` in the plane (rows, columns), `outside` beyond the image.

        A pixel has the same size in mm along both axes, whatever the voxels. `linear` interpolates; otherwise the
        nearest voxel counts.
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
    """The three planes through a point."""
    return [Plane(name, centre, side, pixels) for name in AXES]
