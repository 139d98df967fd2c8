"""Modalities encoded on each part of a fold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from metaswin.fusion.encode import BlockEncoder, fit_encoder
from metaswin.fusion.fit import FoldRows
from metaswin.fusion.modalities import Sources


class Blocks:
    """Encoded modalities of one set of rows; each is encoded once a part.

    Parameters
    ----------
    sources : Sources
        Raw columns of these rows, or of more.
    rows : FoldRows
        Rows to fit on and to encode; others with ``patients, parts`` and ``fitted`` serve as well.
    min_rows : int
        See `metaswin.fusion.encode.fit_encoder`.
    shown : Sources, optional
        What is encoded, where that differs from what the encoders are fitted on.
    """

    def __init__(self, sources: Sources, rows: FoldRows, min_rows: int, shown: Sources | None = None) -> None:
        self.sources, self.rows, self.min_rows, self.shown = sources, rows, min_rows, shown or sources
        self._encoded: dict[tuple[str, str], tuple[BlockEncoder, np.ndarray]] = {}

    def encoder(self, block: str, part: str = "outer") -> BlockEncoder:
        """Encoder of a block, fitted on the training rows of a part."""
        return self._of(block, part)[0]

    def matrices(self, blocks: Sequence[str], parts: Sequence[str] | None = None) -> dict[str, list[np.ndarray]]:
        """Part → encoded blocks of all rows; `parts` are all parts of the rows by default."""
        return {part: [self._of(block, part)[1] for block in blocks] for part in parts or self.rows.parts}

    def with_scores(self, deep: pd.Series) -> "Blocks":
        """The same encoders, applied to other deep scores."""
        return Blocks(self.sources, self.rows, self.min_rows, replace(self.sources, deep=deep))

    def _of(self, block: str, part: str) -> tuple[BlockEncoder, np.ndarray]:
        if (block, part) not in self._encoded:
            table, kinds = self.sources.table(block, part)
            encoder = fit_encoder(table.loc[self.rows.patients][self.rows.fitted(part)], kinds, self.min_rows)
            shown, _ = self.shown.table(block, part)
            self._encoded[block, part] = encoder, encoder.transform(shown.loc[self.rows.patients])
        return self._encoded[block, part]
