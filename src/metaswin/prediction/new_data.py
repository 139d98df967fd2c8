"""Read the data of new patients, and find the values that a model imputes."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from metaswin.cohort.clinical_table import read_rows
from metaswin.cohort.sheets import read_feature_ids, read_sheet
from metaswin.config.cohort import ClinicalSettings
from metaswin.config.feature_sets import CLINICAL, clinical_sets
from metaswin.config.features import RADIOMICS
from metaswin.core.files import atomic, read_table
from metaswin.features.encoder import CategoryColumn, NumericColumn
from metaswin.features.matrix import VOLUME, region_of, tumor_volume, wide
from metaswin.features.modalities import ModalityFiles, ModalityTables, load_modality_tables
from metaswin.models.fusion import FittedFeatureSet
from metaswin.prediction.bundle import Bundle


@dataclass(frozen=True)
class ClinicalInputs:
    """Name the user's clinical table, and the index of the DICOM files, sheet or features; None if there is none."""

    clinical: str | None = None
    index: str | None = None
    sheet: str | None = None
    features: str | None = None


def prepare_clinical(
    inputs: ClinicalInputs,
    output: str,
    settings: ClinicalSettings,
    also: Sequence[str],
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the clinical table that ingest reads.

    Values are those of the user without leading and trailing blanks. A patient with data but without a row gets an
    empty row, because other feature sets can predict this patient. A column that the user's table lacks is empty.

    Parameters
    ----------
    inputs : ClinicalInputs
    output : str
    settings : ClinicalSettings
    also : sequence of str
        Columns of other settings, by their names in `settings`.
    names : mapping or None
        Pseudonym → id, if the index contains pseudonyms. The table contains the ids.
    """
    identifier = settings.id.strip()
    header, lines = read_rows(inputs.clinical) if inputs.clinical else ([identifier], [])
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    known = {row[identifier] for row in rows}
    found = [(names or {}).get(patient, patient) for patient in _found(inputs)]
    rows += [{identifier: patient} for patient in found if patient not in known]
    sources = settings.sources
    wanted = [*sources.values(), *(sources.get(name.strip(), name.strip()) for name in also)]
    columns = list(dict.fromkeys([*header, *wanted]))
    with atomic(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _found(inputs: ClinicalInputs) -> list[str]:
    """Return the ids in the data, sorted."""
    if inputs.index:
        table = read_table(inputs.index, columns=["patient", "usable"])
        return sorted({patient for patient in table.loc[table["usable"].astype(bool), "patient"] if patient})
    if inputs.sheet:
        return sorted(read_sheet(inputs.sheet).rows)
    if inputs.features:
        return sorted(read_feature_ids(inputs.features)[0])
    return []


MEDIAN = "the training median"


@dataclass(frozen=True)
class NewData:
    """Store all measurements of the new patients.

    Attributes
    ----------
    modality_tables : ModalityTables
        Raw columns without the data of a member: no selected features of a fit and no deep score.
    features : dict
        Modality → matrix of all features.
    patches : dict
        Patient → file that contains the patch, for patients that have one.
    """

    modality_tables: ModalityTables
    features: dict[str, pd.DataFrame]
    patches: Mapping[str, str]

    @property
    def patients(self) -> list[str]:
        return self.modality_tables.patients

    def modalities(self, patient: str) -> set[str]:
        """Return the modalities for which this patient has at least one value."""
        found = {f"{CLINICAL}{name}" for name in self.modality_tables.sets if self._any(self.clinical(name), patient)}
        found |= {name for name, matrix in self.features.items() if self._any(matrix, patient)}
        if self.modality_tables.anatomy is not None and self._any(self.modality_tables.anatomy, patient):
            found.add("anatomy")
        if self.modality_tables.embedding is not None and self._any(self.modality_tables.embedding, patient):
            found.add("embedding")
        if self.modality_tables.volume is not None and np.isfinite(self.modality_tables.volume[patient]):
            found.add("volume")
        return found | ({"deep"} if patient in self.patches else set())

    def clinical(self, name: str) -> pd.DataFrame:
        """Return the columns of a clinical set."""
        return self.modality_tables.clinical[self.modality_tables.sets[name]]

    def assumed(self, feature_set: FittedFeatureSet, patient: str) -> list[str]:
        """Return the values of this patient that the feature set imputes, and how."""
        found = []
        for modality, encoder in feature_set.encoders.items():
            if modality in RADIOMICS:
                names = [column.name for column in encoder.columns if isinstance(column, NumericColumn)]
                found += self._assumed_features(modality, names, patient)
            elif modality == "embedding":
                found += [] if modality in self.modalities(patient) else ["embedding (the training mean)"]
            elif modality == "deep":
                found += [] if patient in self.patches else [f"deep score ({MEDIAN})"]
            else:
                row = self._plain(modality).loc[patient]
                found += [
                    _assumption(column)
                    for column in encoder.columns
                    if isinstance(column, NumericColumn | CategoryColumn) and pd.isna(row.get(column.name))
                ]
        return found

    def value(self, modality: str, feature: str, patient: str) -> float | str | None:
        """Return the measured value: a number, a category as written, or None if it is missing."""
        table = self.features.get(modality) if modality in RADIOMICS else self._plain(modality)
        if table is None or feature not in table or pd.isna(value := table.at[patient, feature]):
            return None
        return value.strip() if isinstance(value, str) else float(value)

    def _plain(self, modality: str) -> pd.DataFrame:
        if modality == "anatomy":
            return self.modality_tables.anatomy
        if modality == "volume":
            assert self.modality_tables.volume is not None
            return self.modality_tables.volume.to_frame(VOLUME)
        return self.modality_tables.clinical

    def _assumed_features(self, modality: str, columns: list[str], patient: str) -> list[str]:
        """Describe absent regions, and single features that could not be computed."""
        matrix = self.features.get(modality, pd.DataFrame(index=self.patients))
        row = matrix.loc[patient].reindex(columns)
        regions = dict.fromkeys(map(region_of, row.index))
        absent = [region for region in regions if not self._any(matrix.filter(like=f"{region}__"), patient)]
        gaps = [name for name in row.index[row.isna()] if region_of(name) not in absent]
        return [f"{region} (the training medians of its features)" for region in absent] + [
            f"{name} ({MEDIAN})" for name in gaps
        ]

    @staticmethod
    def _any(table: pd.DataFrame, patient: str) -> bool:
        return bool(table.loc[patient].notna().any())


def load_new(
    used: str,
    clinical: str,
    features: str | None,
    anatomy: str | None,
    embedding: str | None,
    patches: Mapping[str, str],
    bundle: Bundle,
) -> NewData:
    """Read the output of the stages for the new patients.

    Parameters
    ----------
    used, clinical : str
        Tables of the cohort.
    features, anatomy : str or None
        Available with images or a table of features.
    embedding : str or None
        ``features/embedding.parquet``.
    patches : mapping
        Patient → file that contains the patch, for patients that have one.
    bundle : Bundle
    """
    volumes = read_table(used)
    patients = sorted(volumes["patient"])
    modalities = bundle.modalities()
    sets = clinical_sets(ClinicalSettings(**bundle.config["clinical"]))
    wanted = {name: columns for name, columns in sets.items() if f"{CLINICAL}{name}" in modalities}
    long = read_table(features) if features else None
    files = ModalityFiles(clinical, {}, anatomy=anatomy, embedding=embedding)
    modality_tables = load_modality_tables(patients, files, wanted)
    volume = tumor_volume(volumes, pd.DataFrame({"patient": [], "region": []}) if long is None else long)
    modality_tables = replace(modality_tables, volume=volume.reindex(patients) if len(volume) else None)
    matrices = {} if long is None else {name: wide(long, name, patients) for name in RADIOMICS if name in modalities}
    return NewData(modality_tables, matrices, patches)


def _assumption(column: NumericColumn | CategoryColumn) -> str:
    if isinstance(column, CategoryColumn):
        return f"{column.name} (counted as unknown)"
    # Some members also have a flag for the missing value. The text is the same for all members.
    return f"{column.name} ({MEDIAN})"
