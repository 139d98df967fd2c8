"""A map over the CT of a patch: three planes, contours of tumour and ring, a scale of colours."""

import numpy as np
from scipy import ndimage

from metaswin.pictures.canvas import Canvas, Colour
from metaswin.pictures.make import PRIMARY, RINGS
from metaswin.pictures.panels import (
    GAP,
    HEAD,
    PIXELS,
    ROW,
    WIDTH,
    Line,
    draw_legend,
    label_panel,
    outline,
    panel_box,
)
from metaswin.pictures.planes import AXES

# Purple to orange, told apart with any colour blindness (ColorBrewer's PuOr, Brewer and Harrower), outer steps first.
LOWERS: list[Colour] = [(94, 60, 153), (128, 105, 180), (178, 171, 210)]
RAISES: list[Colour] = [(253, 184, 99), (240, 140, 40), (230, 97, 1)]
TINTS = [*LOWERS, *RAISES]
OPACITY = [0.75, 0.6, 0.45, 0.45, 0.6, 0.75]
EDGES = np.array([-2 / 3, -1 / 3, -0.08, 0.08, 1 / 3, 2 / 3])  # of the largest effect; nothing is drawn in between
BAR = 30  # height of the scale of colours in pixels


def draw_map(effect: np.ndarray, patch: np.ndarray, spacing: float, title: str, note: str) -> Canvas:
    """Planes through the voxel of the tumour with the largest effect.

    Parameters
    ----------
    effect : ndarray, shape (x, y, z)
        See `metaswin.explanation.occlusion.occlusion_map`; on the patch's grid, whose axes are the patient's (LPS).
    patch : ndarray, shape (channel, x, y, z)
        CT (0…1), tumour and ring first.
    spacing : float
        Edge of a voxel (mm).
    title, note : str
        Words above the panels, left and right.
    """
    size = effect.shape[0]
    seen = np.where((patch[1] > 0.5) & np.isfinite(effect), np.abs(effect), -1.0)
    centre = np.unravel_index(int(np.argmax(seen)), effect.shape)
    largest = float(np.nanmax(np.abs(effect))) if np.isfinite(effect).any() else 0.0
    canvas = Canvas(WIDTH, HEAD + PIXELS + GAP + ROW + BAR, [PRIMARY, RINGS[0]], TINTS, OPACITY)
    for position, plane in enumerate(AXES):
        box = panel_box(position)
        ct, tumor, ring = (_plane(channel, centre, plane) for channel in patch[:3])
        canvas.grey[box] = np.rint(np.clip(_enlarged(ct, 1), 0, 1) * 255).astype(np.uint8)
        canvas.tint[box] = _tint(_plane(effect, centre, plane), largest)
        canvas.line[box][outline(_enlarged(ring, 1) > 0.5, Line(2, dotted=True))] = 2
        canvas.line[box][outline(_enlarged(tumor, 1) > 0.5, Line(1, width=2))] = 1
        label_panel(canvas, position, plane, size * spacing / PIXELS)
    canvas.write_words(4, HEAD // 2, title)
    canvas.write_words(WIDTH - 4, HEAD // 2, note, "rm")
    top = HEAD + PIXELS + GAP
    draw_legend(canvas, top, [("tumour", Line(1, width=2)), ("ring", Line(2, dotted=True))])
    _draw_bar(canvas, top + ROW, largest)
    return canvas


def _plane(volume: np.ndarray, centre: tuple[int, ...], plane: str) -> np.ndarray:
    """Rows and columns of a plane, seen as in `metaswin.pictures.planes`; z runs upwards."""
    x, y, z = centre
    return {"axial": volume[:, :, z].T, "coronal": volume[:, y, ::-1].T, "sagittal": volume[x, :, ::-1].T}[plane]


def _enlarged(plane: np.ndarray, order: int) -> np.ndarray:
    """A plane at the panel's size; pixel edges stay where voxel edges are."""
    return ndimage.zoom(plane, PIXELS / plane.shape[0], order=order, mode="nearest", grid_mode=True)


def _tint(effect: np.ndarray, largest: float) -> np.ndarray:
    """Number of the tint of each pixel, 0 where the effect is small or was not tried."""
    if largest == 0:
        return np.zeros((PIXELS, PIXELS), dtype=np.uint8)
    tried = _enlarged(np.isfinite(effect).astype(float), 0) > 0.5
    share = _enlarged(np.nan_to_num(effect) / largest, 1)
    # Bins 0…6; the middle one, 3, is left plain.
    numbers = np.array([1, 2, 3, 0, 4, 5, 6], dtype=np.uint8)
    return np.where(tried, numbers[np.digitize(share, EDGES)], 0)


def _draw_bar(canvas: Canvas, top: int, largest: float) -> None:
    """The scale: what colours mean in units of the logit."""
    width, height = 52, 10
    left = WIDTH // 2 - 7 * width // 2
    canvas.grey[top : top + height, left : left + 7 * width] = 128
    for place, number in enumerate((1, 2, 3, 0, 4, 5, 6)):
        canvas.tint[top : top + height, left + place * width : left + (place + 1) * width] = number
    for place, share in [(0, -1), (1, -2 / 3), (2, -1 / 3), (3.5, 0), (5, 1 / 3), (6, 2 / 3), (7, 1)]:
        words = f"{share * largest:+.2g}" if share else "0"
        canvas.write_words(left + round(place * width), top + height + 9, words, "mm")
    canvas.write_words(left - 8, top + height // 2, "lowers the risk", "rm")
    canvas.write_words(left + 7 * width + 8, top + height // 2, "raises the risk (logit)", "lm")
