"""Read the columns of each modality and encode them for every fit of an outer fold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.folds import OuterFold
from metaswin.config.feature_sets import CLINICAL
from metaswin.config.features import RADIOMICS
from metaswin.config.models import FusionSettings
from metaswin.core.errors import several
from metaswin.core.files import read_table
from metaswin.features.encoder import ModalityEncoder, fit_encoder
from metaswin.features.matrix import CANDIDATES, VOLUME, table_paths

PREDICTIVE = ("baseline", "treatment")


@dataclass(frozen=True)
class ModalityFiles:
    """Hold the files of the predictors; None if the run does not have the file.

    Attributes
    ----------
    clinical : str
        ``cohort/clinical.parquet``.
    tables : dict
        (Fit, set) → features that the fit uses, see `metaswin.features.fit_tables.fit_table`.
    volume, anatomy : str or None
        Tumour volumes, and measures of the organs.
    deep : str or None
        ``features.parquet`` of the outer fold's networks.
    embedding : str or None
        ``features/embedding.parquet``.
    """

    clinical: str
    tables: Mapping[tuple[str, str], str]
    volume: str | None = None
    anatomy: str | None = None
    deep: str | None = None
    embedding: str | None = None

    @classmethod
    def of(cls, inputs: Mapping[str, Any], fits: Sequence[str]) -> "ModalityFiles":
        """Return the files from the inputs of a rule. Its input ``tables`` is the folder of all fits of the repeat.

        If the run does not have an input, that input is an empty list.
        """
        tables = table_paths(inputs["tables"], fits) if inputs["tables"] else {}
        others = {name: inputs.get(name) or None for name in ("volume", "anatomy", "deep", "embedding")}
        return cls(inputs["clinical"], tables, **others)


@dataclass(frozen=True)
class ModalityTables:
    """Hold all possible predictors, one row for each patient.

    Attributes
    ----------
    patients : list of str
    sets : dict
        Clinical set → columns.
    clinical : DataFrame
        Indexed by patient.
    kinds : dict
        Clinical column → ``numeric`` or ``category``.
    tables : dict
        (Fit, set) → features that the fit uses; only the sets that the data have.
    candidates : dict
        Set → number of features before selection; only the sets that the data have.
    deep, volume : Series or None
        Score (logit) and tumour volume (mm³).
    anatomy : DataFrame or None
        Measures of the organs, see `metaswin.features.anatomy`.
    embedding : DataFrame or None
        Outputs of an encoder that is not trained on this cohort.
    """

    patients: list[str]
    sets: dict[str, list[str]]
    clinical: pd.DataFrame
    kinds: dict[str, str]
    tables: dict[tuple[str, str], pd.DataFrame]
    candidates: dict[str, int]
    deep: pd.Series | None
    volume: pd.Series | None
    anatomy: pd.DataFrame | None = None
    embedding: pd.DataFrame | None = None

    @property
    def modalities(self) -> list[str]:
        """Return the modalities that these data have."""
        return [
            *(["clinical"] if self.sets else []),
            *self.candidates,
            *(["deep"] if self.deep is not None else []),
            *(["embedding"] if self.embedding is not None else []),
            *(["anatomy"] if self.anatomy is not None else []),
        ]

    def table(self, modality: str, fit: str) -> tuple[pd.DataFrame, dict[str, str]]:
        """Return the raw columns of a modality for all patients, and their kinds.

        The kinds are those of `metaswin.features.encoder.fit_encoder`. Only the tables of features differ between fits.
        Deep scores are the same in every fit of an outer fold. The score of a training row comes from a network that
        was not trained on the row (``in-sample``: that was trained on it).

        For outer fold 1, the fit ``without-1-3`` predicts the rows of fold 3. The scores of its own training rows come
        from networks that were trained on fold 3. Inner out-of-fold predictions with `deep` therefore depend slightly,
        through the few weights of the classifier, on the labels with which they are compared. Excluding this would
        require a network for every three folds. Test rows are not affected.
        """
        if modality.startswith(CLINICAL):
            columns = self.sets[modality.removeprefix(CLINICAL)]
            return self.clinical[columns], {column: self.kinds[column] for column in columns}
        if modality == "volume":
            assert self.volume is not None
            return self.volume.to_frame(VOLUME), {VOLUME: "log"}
        if modality == "anatomy":
            assert self.anatomy is not None
            return self.anatomy, dict.fromkeys(self.anatomy.columns, "numeric")
        if modality == "embedding":
            assert self.embedding is not None
            return self.embedding, dict.fromkeys(self.embedding.columns, "embedding")
        if modality == "deep":
            assert self.deep is not None
            return self.deep.to_frame("deep_score"), {"deep_score": "numeric"}
        table = self.tables[fit, modality]
        return table, dict.fromkeys(table.columns, "feature")

    def chosen_among(self, modality: str, columns: Sequence[str]) -> int:
        """Return the number of candidate columns: all features before selection, otherwise the encoded `columns`."""
        return self.candidates.get(modality, len(columns))


def load_modality_tables(
    patients: Sequence[str], files: ModalityFiles, sets: Mapping[str, list[str]]
) -> ModalityTables:
    """Read the tables of the predictors.

    Parameters
    ----------
    patients : sequence of str
        Rows, in this order. A patient who is not in a table has missing values for it.
    files : ModalityFiles
    sets : mapping
        Clinical set → columns.

    Raises
    ------
    UserError
        If a set names a column that is not allowed as a predictor.
    """
    index = pd.Index(patients, name="patient")
    clinical, kinds, columns = _clinical(files.clinical, sets)
    candidates = {name: _candidates(path) for (_, name), path in files.tables.items()}
    candidates = {name: candidates[name] for name in RADIOMICS if candidates.get(name)}

    def by_patient(path: str, wanted: list[str] | None = None) -> pd.DataFrame:
        return read_table(path, wanted).set_index("patient").reindex(index)

    tables = {key: by_patient(path) for key, path in files.tables.items() if key[1] in candidates}
    deep = by_patient(files.deep, ["patient", "score"])["score"] if files.deep else None
    volume = by_patient(files.volume)[VOLUME] if files.volume else None
    return ModalityTables(
        list(patients),
        columns,
        clinical.reindex(index),
        kinds,
        tables,
        candidates,
        deep,
        None if volume is None or volume.isna().all() else volume,
        by_patient(files.anatomy) if files.anatomy else None,
        by_patient(files.embedding) if files.embedding else None,
    )


def _candidates(table: str) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_schema(table).metadata[CANDIDATES.encode()])


def _clinical(path: str, sets: Mapping[str, list[str]]) -> tuple[pd.DataFrame, dict[str, str], dict[str, list[str]]]:
    """Return the clinical table, the kinds of its columns, and the sets with the column names of the table."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata
    roles, kinds = (json.loads(metadata[key.encode()]) for key in ("roles", "kinds"))
    named = {column.strip(): column for column in kinds}
    messages = [
        f"clinical.sets.{name}: the column {column!r} may not predict: it has "
        + (f"the role {roles[column]}" if column in roles else "no role that may predict")
        + "; give it the role baseline (or treatment) if it is known before treatment, or remove it from the set"
        for name, columns in sets.items()
        for column in columns
        if roles.get(named.get(column.strip(), column)) not in PREDICTIVE
    ]
    if messages:
        raise several("The clinical sets have errors:", messages)
    columns = {name: [named[column.strip()] for column in columns] for name, columns in sets.items()}
    return read_table(path).set_index("patient"), kinds, columns


class EncodedModalities:
    """Encode the modalities of the rows of an outer fold, each once per fit.

    Parameters
    ----------
    modality_tables : ModalityTables
        Raw columns of the same rows.
    rows : OuterFold
        Training rows and rows to encode.
    settings : FusionSettings
        ``category_min_rows`` and ``embedding_components`` are used, see `metaswin.features.encoder.fit_encoder`.
    """

    def __init__(self, modality_tables: ModalityTables, rows: OuterFold, settings: FusionSettings) -> None:
        self.modality_tables, self.rows, self.settings = modality_tables, rows, settings
        self._encoded: dict[tuple[str, str], tuple[ModalityEncoder, np.ndarray]] = {}

    def encoder(self, modality: str) -> ModalityEncoder:
        """Return the encoder of a modality, fitted on all training rows."""
        return self._of(modality, self.rows.final)[0]

    def matrices(self, modalities: Sequence[str], fits: Sequence[str] | None = None) -> dict[str, list[np.ndarray]]:
        """Return fit → encoded modalities of all rows; by default for all fits of the outer fold."""
        return {fit: [self._of(modality, fit)[1] for modality in modalities] for fit in fits or self.rows.fits}

    def _of(self, modality: str, fit: str) -> tuple[ModalityEncoder, np.ndarray]:
        if (modality, fit) not in self._encoded:
            table, kinds = self.modality_tables.table(modality, fit)
            train = table[self.rows.fitted(fit)]
            settings = self.settings
            encoder = fit_encoder(train, kinds, settings.category_min_rows, settings.embedding_components)
            self._encoded[modality, fit] = encoder, encoder.transform(table)
        return self._encoded[modality, fit]
