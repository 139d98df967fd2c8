"""Raw columns of each modality, before they are encoded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metaswin.errors import several
from metaswin.files import read_table
from metaswin.fusion.arms import CLINICAL
from metaswin.harmonisation.fitted import Harmoniser, load_harmoniser
from metaswin.selection.apply import apply_selection
from metaswin.selection.fold import HARMONISED
from metaswin.selection.matrix import SETS, wide

PREDICTIVE = ("baseline", "treatment")
VOLUME = "volume_tumor_mm3"
# Voxel counting is how the region stage measures volumes; an imported table may hold the mesh volume only.
SHAPE_VOLUMES = ("original_shape_VoxelVolume", "original_shape_MeshVolume")


@dataclass(frozen=True)
class Sources:
    """Everything that may predict, one row a patient.

    Attributes
    ----------
    patients : list of str
    sets : dict
        Clinical set → columns.
    clinical : DataFrame
        Indexed by patient.
    kinds : dict
        Clinical column → ``numeric`` or ``category``.
    features : dict
        ``radiomics`` and ``peri_radiomics`` → matrix of all features, where there are any.
    selection : DataFrame or None
        The fold's ``selection.parquet``.
    deep, volume : Series or None
        Score (logit) and tumour volume (mm³).
    harmoniser : Harmoniser or None
        The fold's harmonisation of `features`, where it is switched on. The volume is never harmonised.
    anatomy : DataFrame or None
        Measures of the organs, see `metaswin.anatomy.measure`.
    selected_on : str or None
        The part whose selection holds in every part; None: each part has its own.
    """

    patients: list[str]
    sets: dict[str, list[str]]
    clinical: pd.DataFrame
    kinds: dict[str, str]
    features: dict[str, pd.DataFrame]
    selection: pd.DataFrame | None
    deep: pd.Series | None
    volume: pd.Series | None
    harmoniser: Harmoniser | None = None
    anatomy: pd.DataFrame | None = None
    selected_on: str | None = None

    @property
    def modalities(self) -> list[str]:
        """Modalities these data have."""
        return [
            *(["clinical"] if self.sets else []),
            *self.features,
            *(["deep"] if self.deep is not None else []),
            *(["anatomy"] if self.anatomy is not None else []),
        ]

    def table(self, block: str, part: str) -> tuple[pd.DataFrame, dict[str, str]]:
        """Raw columns of a block for all patients, and their kinds (see `metaswin.fusion.encode.fit_encoder`).

        `part` says which selection of radiomics features holds. Deep scores are the same in every part: a training
        row's score comes from a network that did not see the row (``in-sample``: that saw it). But the scores of the
        rows that ``inner-j`` is fitted on come from networks that saw the inner fold j, which that part then
        predicts: through the few weights of the head, inner out-of-fold predictions of arms with `deep` depend
        mildly on the labels they are compared with. Undoing this takes a network for every pair of inner folds
        (``inner-validation`` is free of it). Test rows are never concerned.

        With a `harmoniser`, features are harmonised by its fit of the same part before the selection is applied.
        """
        if block.startswith(CLINICAL):
            columns = self.sets[block.removeprefix(CLINICAL)]
            return self.clinical[columns], {column: self.kinds[column] for column in columns}
        if block == "volume":
            return self.volume.to_frame(VOLUME), {VOLUME: "log"}
        if block == "anatomy":
            return self.anatomy, dict.fromkeys(self.anatomy.columns, "numeric")
        if block == "deep":
            return self.deep.to_frame("deep_score"), {"deep_score": "numeric"}
        part = self.selected_on or part
        features = self.features[block]
        if self.harmoniser is not None:
            features = self.harmoniser.apply(features, part, block)
        table = apply_selection(features, self._selected(block, part))
        return table, dict.fromkeys(table.columns, "numeric")

    def candidates(self, block: str, columns: Sequence[str]) -> int:
        """Columns among which a block was chosen: all features before selection, otherwise its encoded `columns`."""
        if block not in self.features:
            return len(columns)
        return int((self._selected(block, "outer")["step"] != "flag").sum())

    def _selected(self, block: str, part: str) -> pd.DataFrame:
        return self.selection[(self.selection["part"] == part) & (self.selection["set"] == block)]


def load_sources(patients: Sequence[str], inputs: Mapping[str, str | None], sets: Mapping[str, list[str]]) -> Sources:
    """Read what predicts.

    Parameters
    ----------
    patients : sequence of str
        Rows, in this order; a patient that a table lacks has missing values there.
    inputs : mapping
        Paths of ``clinical`` and ``used``, and of ``features``, ``selection``, ``deep``, ``anatomy``, ``harmonisation``
        and ``harmonisation_values`` where there are any.
    sets : mapping
        Clinical set → columns.

    Raises
    ------
    UserError
        If a set names a column that may not predict.
    ValueError
        If only one of selection and these inputs knows of a harmonisation.
    """
    index = pd.Index(patients, name="patient")
    clinical, kinds, columns = _clinical(inputs["clinical"], sets)
    long = read_table(inputs["features"]) if inputs.get("features") else None
    selection = read_table(inputs["selection"]) if inputs.get("selection") else None
    features = {}
    if selection is not None:
        present = [name for name in SETS if (selection["set"] == name).any()]
        features = {name: wide(long, name, list(patients)) for name in present}
    deep = None
    if inputs.get("deep"):
        deep = read_table(inputs["deep"], columns=["patient", "score"]).set_index("patient")["score"].reindex(index)
    harmoniser = load_harmoniser(inputs)
    if selection is not None and _is_harmonised(inputs["selection"]) != (harmoniser is not None):
        raise ValueError("features were selected with harmonisation and are read without it, or the other way round")
    volume = _volume(read_table(inputs["used"]), long)
    anatomy = read_table(inputs["anatomy"]).set_index("patient") if inputs.get("anatomy") else None
    return Sources(
        list(patients),
        columns,
        clinical.reindex(index),
        kinds,
        features,
        selection,
        deep,
        None if volume is None else volume.reindex(index),
        harmoniser,
        None if anatomy is None else anatomy.reindex(index),
    )


def _is_harmonised(selection: str) -> bool:
    """Whether a selection was made of harmonised features."""
    import pyarrow.parquet as pq

    return (pq.read_schema(selection).metadata or {}).get(HARMONISED.encode()) == b"True"


def _clinical(path: str, sets: Mapping[str, list[str]]) -> tuple[pd.DataFrame, dict[str, str], dict[str, list[str]]]:
    """The clinical table, kinds of its columns, and the sets with names as in the table."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata
    roles, kinds = (json.loads(metadata[key.encode()]) for key in ("roles", "kinds"))
    named = {column.strip(): column for column in kinds}
    messages = [
        f"clinical.sets.{name}: the column {column!r} may not predict: it has "
        + (f"the role {roles[column]}" if column in roles else "no role that may predict")
        + "; give it the role baseline (or treatment) if it is known before treatment, or take it out of the set"
        for name, columns in sets.items()
        for column in columns
        if roles.get(named.get(column.strip(), column)) not in PREDICTIVE
    ]
    if messages:
        raise several("The clinical sets have mistakes:", messages)
    columns = {name: [named[column.strip()] for column in columns] for name, columns in sets.items()}
    return read_table(path).set_index("patient"), kinds, columns


def _volume(used: pd.DataFrame, features: pd.DataFrame | None) -> pd.Series | None:
    """Tumour volume (mm³) by patient: of the images, else of the table of features."""
    if VOLUME in used:
        return used.set_index("patient")[VOLUME].astype("float64")
    if features is None:
        return None
    tumor = features[features["region"] == "tumor"].set_index("patient")
    for name in SHAPE_VOLUMES:
        if name in tumor and np.isfinite(tumor[name]).any():
            return tumor[name].astype("float64")
    return None
