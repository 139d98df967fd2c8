"""Panels side by side: outlines, letters of orientation, a scale in mm, a legend below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metaswin.pictures.canvas import TEXT_SIZE, Canvas, text_width
from metaswin.pictures.planes import LETTERS

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
    west, east, north, south = LETTERS[plane]
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
