"""A picture as layers of palette colours: greys, a tint over them, lines over both; written as a small PNG.

Noise of a CT makes a PNG large. The greys are therefore written in as many steps as the size allows, smoothed where
few steps are not enough, and what is drawn over them keeps its exact colours.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metaswin.files import atomic

Colour = tuple[int, int, int]
MOST_BYTES = 60_000
# Steps of grey and smoothing (standard deviation in pixels), the best first.
GREYS = [(steps, sigma) for sigma in (0.0, 0.7, 1.5, 3.0) for steps in (64, 48, 32, 24, 16)]
TEXT_SIZE = 11


class Canvas:
    """Layers of one picture.

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
        """The picture as PNG with so many steps of grey, smoothed by a Gaussian of `sigma` pixels."""
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
