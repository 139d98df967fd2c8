"""Modalities encoded in each fit of an outer fold."""

from collections.abc import Sequence

import numpy as np

from metaswin.folds.rows import OuterFold
from metaswin.fusion.encode import BlockEncoder, fit_encoder
from metaswin.fusion.modalities import Sources


class Blocks:
    """Encoded modalities of the rows of an outer fold; each is encoded once in each fit.

    Parameters
    ----------
    sources : Sources
        Raw columns of the same rows.
    rows : OuterFold
        Rows to learn from and to encode.
    min_rows : int
        See `metaswin.fusion.encode.fit_encoder`.
    """

    def __init__(self, sources: Sources, rows: OuterFold, min_rows: int) -> None:
        self.sources, self.rows, self.min_rows = sources, rows, min_rows
        self._encoded: dict[tuple[str, str], tuple[BlockEncoder, np.ndarray]] = {}

    def encoder(self, block: str) -> BlockEncoder:
        """Encoder of a block, fitted on all training rows."""
        return self._of(block, self.rows.final)[0]

    def matrices(self, blocks: Sequence[str], fits: Sequence[str] | None = None) -> dict[str, list[np.ndarray]]:
        """Fit → encoded blocks of all rows; `fits` are all fits of the outer fold by default."""
        return {fit: [self._of(block, fit)[1] for block in blocks] for fit in fits or self.rows.fits}

    def _of(self, block: str, fit: str) -> tuple[BlockEncoder, np.ndarray]:
        if (block, fit) not in self._encoded:
            table, kinds = self.sources.table(block, fit)
            encoder = fit_encoder(table[self.rows.fitted(fit)], kinds, self.min_rows)
            self._encoded[block, fit] = encoder, encoder.transform(table)
        return self._encoded[block, fit]
