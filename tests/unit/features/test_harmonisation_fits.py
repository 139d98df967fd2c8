"""Harmonisation of the fits of a repeat: fitted on training rows, the same in selection and tables, counted, saved."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.folds import Folds, all_fits, left_out
from metaswin.config.features import RADIOMICS, HarmonisationSettings, SelectionSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table, write_table
from metaswin.features.fit_tables import SelectionInputs, kept_features, select_features
from metaswin.features.harmonisation import (
    ARRAYS,
    HarmonisationInputs,
    HarmonisationOutputs,
    Harmoniser,
    harmonise,
    load_harmoniser,
)
from metaswin.features.matrix import wide

MAKERS = ["SIEMENS", "GE", "Philips"]
SETTINGS = HarmonisationSettings(method="combat", covariates=["age", "sex"])
FEATURES = [f"original_firstorder_F{i}" for i in range(6)]
SCANNED = FEATURES[1:3]
N, K = 120, 4


@dataclass
class Cohort:
    """Patients scanned by three makers that shift two features, by a rare one, or by none known; repeat 1 is fitted."""

    folder: Path
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        patients = [f"P{i:03d}" for i in range(N)]
        maker = np.random.default_rng(8).permutation(np.repeat(np.array(MAKERS, dtype=object), N // 3))
        maker[40:60:4] = "Canon"
        maker[[70, 71]] = None
        shift = pd.Series(maker).map({"GE": 4.0, "Philips": -3.0}).fillna(0).to_numpy()
        signal, parts = rng.normal(size=N), []
        for region in ("tumor", "ring_0_10mm"):
            values = pd.DataFrame(rng.normal(size=(N, 6)), columns=FEATURES)
            values[FEATURES[0]] += 2 * signal
            values[SCANNED] += shift[:, None]
            parts.append(values.assign(patient=patients, region=region, voxels=99))
        parts[1] = parts[1][rng.random(N) > 0.05]
        label = pd.array((signal + rng.logistic(size=N) > 0).astype(int), dtype="Int8")
        label[[5, 8]] = None
        outcome = pd.DataFrame({"patient": patients, "label": label, "time": np.nan, "event": label})
        self.tables = {
            "features": pd.concat(parts, ignore_index=True),
            "folds": pd.concat([outcome.assign(repeat=r, fold=(np.arange(N) + r) % K) for r in (0, 1)]),
            "used": pd.DataFrame({"patient": patients, "manufacturer": maker}),
            "clinical": pd.DataFrame(
                {
                    "patient": patients,
                    "age": rng.normal(60, 9, N),
                    "sex": pd.Series(rng.choice(["F", "m"], N), dtype="str"),
                }
            ),
        }

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def folds(self) -> Folds:
        return Folds.of(self.tables["folds"], 1)

    @property
    def maker(self) -> pd.Series:
        return self.tables["used"].set_index("patient")["manufacturer"]

    def matrix(self, modality: str = "radiomics") -> pd.DataFrame:
        return wide(self.tables["features"], modality, self.folds.patients)

    def train(self, fit: str) -> list[str]:
        return self.folds.training([fit])[fit]

    def harmonise(self, settings: HarmonisationSettings = SETTINGS) -> "Cohort":
        """Write the tables, harmonise the fits of repeat 1, and select."""
        for name, table in self.tables.items():
            metadata = {"roles": '{"age": "baseline", "sex": "baseline"}'} if name == "clinical" else None
            write_table(self.path(f"{name}.parquet"), table, metadata)
        inputs = {name: self.path(f"{name}.parquet") for name in self.tables}
        outputs = [self.path(name) for name in ("facts.json", "values.safetensors", "rows.parquet")]
        harmonise(HarmonisationInputs(**inputs), HarmonisationOutputs(*outputs), 1, settings)
        fitted = {"harmonisation": outputs[0], "harmonisation_values": outputs[1]}
        tables = {(fit, name): self.path(f"{fit}-{name}.parquet") for fit in all_fits(K) for name in RADIOMICS}
        own = self.path("selection.parquet"), self.path("volume.parquet")
        few = SelectionSettings(trees=10, keep=3)
        select_features(SelectionInputs(**inputs, **fitted), *own, tables, "dm", 1, few, 3)
        return self

    def load(self) -> Harmoniser:
        files = ("facts.json", "values.safetensors", "used.parquet", "clinical.parquet")
        return load_harmoniser(*(self.path(name) for name in files))

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Cohort(tmp_path_factory.mktemp("harmonised")).harmonise()


def test_harmoniser_when_applied_then_makers_agree_in_training_and_test_rows(run):
    found = run.load().apply(run.matrix(), "without-0", "radiomics")
    column = f"tumor__{SCANNED[0]}"
    test = run.folds.chosen(run.folds.outer(0).test)
    for rows in (run.train("without-0"), test):
        before, after = (table.loc[rows, column].groupby(run.maker).mean()[MAKERS] for table in (run.matrix(), found))
        assert np.ptp(before) > 5
        assert np.ptp(after) < 1.5
    alone = run.maker.index[run.maker.isna() | (run.maker == "Canon")]
    pd.testing.assert_frame_equal(found.loc[alone], run.matrix().loc[alone])


def test_facts_when_written_then_batches_are_counted_by_training_rows_of_each_fit(run):
    facts = read_json(run.path("facts.json"))
    assert set(facts["fits"]) == set(all_fits(K))
    for fit in ("without-0", "without-1-3"):
        train, own = run.train(fit), facts["fits"][fit]
        assert own["training"] == len(train)
        assert own["batches"] == run.maker[train].str.casefold().value_counts().to_dict()
        assert own["fitted"] == ["ge", "philips", "siemens"]
        assert own["without_batch"] == run.maker[train].isna().sum()
        assert own["modalities"]["radiomics"] == {"harmonised": 6, "left_alone": {}}


def test_rows_when_written_then_each_patient_has_a_state_in_each_fit(run):
    rows, maker = read_table(run.path("rows.parquet")), run.maker
    assert set(rows["fit"]) == set(all_fits(K))
    for fit, own in rows.groupby("fit"):
        own = own.set_index("patient")
        assert own.index.tolist() == run.folds.patients
        assert own.index[own["training"]].tolist() == run.train(fit)
        assert (own.loc[maker.index[maker.isna()], "state"] == "missing").all()
        assert (own.loc[maker.index[maker.isin(MAKERS)], "state"] == "harmonised").all()
        canon = maker.index[maker == "Canon"]
        seen = set(canon) & set(run.train(fit))
        assert (own.loc[canon, "state"] == ("few" if seen else "unseen")).all()


def test_tables_when_harmonised_then_each_fit_has_values_of_its_own_harmonisation(run):
    harmoniser, selection = run.load(), read_table(run.path("selection.parquet"))
    for fit in ("without-0", "without-1-3"):
        for name in RADIOMICS:
            expected = harmoniser.apply(run.matrix(name), fit, name)[kept_features(selection, fit, name)]
            found = read_table(run.path(f"{fit}-{name}.parquet")).set_index("patient")
            pd.testing.assert_frame_equal(found, expected, check_index_type=False)
            # Missing regions stay missing: the encoder imputes.
            assert found.isna().any(axis=None) == (name == "peri_radiomics")
    shared = f"tumor__{SCANNED[0]}"
    fits = [harmoniser.apply(run.matrix(), fit, "radiomics")[shared] for fit in ("without-0", "without-0-1")]
    assert not np.allclose(*fits)


@pytest.mark.parametrize("fold", [0, 2])
def test_harmonisation_when_a_fold_is_corrupted_then_only_fits_without_it_stay(run, tmp_path, fold):
    other = Cohort(tmp_path)
    spoilt = set(run.folds.chosen(run.folds.outer(fold).test))
    unknown = set(run.folds.chosen(~run.folds.known))
    rng, tables = np.random.default_rng(5), other.tables
    rows = tables["features"]["patient"].isin(spoilt | unknown)
    tables["features"].loc[rows, FEATURES] = rng.normal(size=(rows.sum(), 6)) * 1e6
    tables["used"].loc[tables["used"]["patient"].isin(spoilt), "manufacturer"] = "GE"
    tables["clinical"].loc[tables["clinical"]["patient"].isin(spoilt), "age"] = 1e9
    tables["clinical"].loc[tables["clinical"]["patient"].isin(spoilt), "sex"] = "never seen"
    flipped = tables["folds"]["patient"].isin(spoilt) & tables["folds"]["label"].notna()
    tables["folds"].loc[flipped, "label"] = 1 - tables["folds"].loc[flipped, "label"]
    other.harmonise()
    harmonisers = run.load(), other.load()
    facts = [read_json(cohort.path("facts.json"))["fits"] for cohort in (run, other)]
    selections = [read_table(cohort.path("selection.parquet")) for cohort in (run, other)]
    for fit in all_fits(K):
        arrays = [
            [getattr(found.fits[fit, name], array).tobytes() for name in RADIOMICS for array in ARRAYS]
            for found in harmonisers
        ]
        chosen = [table[table["fit"] == fit] for table in selections]
        stays = fold in left_out(fit)
        assert (arrays[0] == arrays[1]) == stays
        assert (facts[0][fit] == facts[1][fit]) == stays
        assert chosen[0].equals(chosen[1]) == stays


def test_harmonisation_when_training_labels_change_then_the_fit_stays(run, tmp_path):
    other = Cohort(tmp_path)
    other.tables["folds"]["label"] = 1 - other.tables["folds"]["label"]
    other.harmonise()
    assert other.bytes("values.safetensors") == run.bytes("values.safetensors")


def test_harmonisation_when_run_again_then_the_same_bytes(run, tmp_path):
    again = Cohort(tmp_path).harmonise()
    for name in ("facts.json", "values.safetensors", "rows.parquet", "selection.parquet"):
        assert again.bytes(name) == run.bytes(name)


def test_harmonisation_when_the_column_is_absent_then_the_existing_ones_are_listed(tmp_path):
    run = Cohort(tmp_path)
    with pytest.raises(UserError, match=r"no column 'centre'; known: .*manufacturer"):
        run.harmonise(HarmonisationSettings(method="combat", batch="centre"))
    with pytest.raises(UserError, match=r"harmonisation.covariates: 'label' is not a baseline or treatment column"):
        run.harmonise(HarmonisationSettings(method="combat", covariates=["label"]))
