"""Rows of a fold are corrupted: nothing fitted for that outer fold changes, nor any fit that leaves that fold out.

Labels, times, events and features become others; the folds stay. Everything is compared bit by bit. What saw the rows
must change, so that these tests can fail.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from controls_run import FUSION, RADIOMICS, SEED, SELECTION, SETS, NoiseCohort
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from patch_file import collected
from safetensors.numpy import load_file

from metaswin.cohort.folds import Folds, Place, all_fits, fit_name, left_out, outer_fits
from metaswin.config.features import HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import SurvivalSettings
from metaswin.core.files import read_json, read_table, write_table, write_volume
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs
from metaswin.models.hazard import train_hazard

K, HORIZON = 3, 500.0
# A failing example is told as it was drawn: to shrink it would take minutes.
few = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
corruptions = {"fold": st.integers(0, K - 1), "seed": st.integers(0, 2**16), "scale": st.sampled_from([0.1, 1.0, 1e6])}


def corrupted_outcome(table: pd.DataFrame, rows: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """The folds with other labels, times and events of some rows; unknown labels become known."""
    table, count = table.copy(), int(rows.sum())
    table.loc[rows, "label"] = (1 - table.loc[rows, "label"]).fillna(0)
    table.loc[rows, "time"] = rng.integers(1, 999, count).astype(float)
    table.loc[rows, "event"] = rng.integers(0, 3, count)
    return table


def rows_of(cohort: NoiseCohort, fold: int) -> list[str]:
    folds = Folds.of(read_table(cohort.path("folds.parquet")), 0)
    return folds.chosen(folds.fold == fold)


def corrupted(cohort: NoiseCohort, folder: Path, fold: int, seed: int, scale: float) -> NoiseCohort:
    """A copy of the cohort in which outcomes and everything measured of the rows of one fold are others."""
    spoilt, rng = set(rows_of(cohort, fold)), np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for path in cohort.folder.iterdir():
        if path.suffix == ".json":
            shutil.copy(path, folder)
        if path.suffix != ".parquet":
            continue
        metadata = {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}
        metadata.pop("pandas", None)
        table = read_table(path)
        rows = table["patient"].isin(spoilt)
        if path.stem == "folds":
            table = corrupted_outcome(table, rows, rng)
        else:
            # Deep scores of another outer fold come from networks that saw the rows: all of them may change.
            rows |= path.stem.startswith("deep") and path.stem != f"deep-{fold}"
            for name in table.select_dtypes("float64"):
                values = rng.normal(size=int(rows.sum())) * scale
                table.loc[rows, name] = np.exp(np.clip(values, -9, 9)) if name.startswith("volume") else values
            if "sex" in table:
                table.loc[rows, "sex"] = rng.choice(["f", "m", "never seen"], int(rows.sum()))
        write_table(folder / path.name, table, metadata)
    return replace(cohort, folder=folder)


def fit(cohort: NoiseCohort, fold: int) -> Path:
    """Fit all classifiers and hazard models of one outer fold; the folder of its outputs."""
    cohort.fit_run(fold)
    selected = cohort.select()
    files = ModalityFiles(
        cohort.path("clinical.parquet"),
        {(name, kind): str(selected / f"{name}-{kind}.parquet") for name in outer_fits(fold, K) for kind in RADIOMICS},
        volume=str(selected / "volume.parquet"),
        deep=cohort.path(f"deep-{fold}.parquet"),
        embedding=cohort.embeddings,
    )
    folder = selected / f"fold-{fold}"
    outputs = [str(folder / f"survival/{name}") for name in ("predictions.parquet", "fits.json", "models")]
    hazards = SurvivalSettings(network={"penalties": [2.0, 20.0], "steps": 10, "ensemble": 1}, intervals=3)
    place = Place("dm", 0, fold)
    train_hazard(
        cohort.path("folds.parquet"), files, FoldOutputs(*outputs), place, HORIZON, SETS, hazards, cohort.fusion, SEED
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Everything fitted of one outer fold: fitted feature sets and hazard models, and facts about them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "predictions.parquet"
    }


def inner(folder: Path, kind: str) -> pd.DataFrame:
    """Predictions of training rows."""
    table = read_table(folder / kind / "predictions.parquet")
    return table[table["part"] == "inner"].reset_index(drop=True)


def written(folder: Path, selection: SelectionSettings) -> NoiseCohort:
    """A cohort, its tables written."""
    feature_sets = ["clinical", "radiomics+peri_radiomics+deep+embedding", "volume"]
    return NoiseCohort(
        folder,
        n=60,
        signal=1.0,
        horizon=HORIZON,
        selection=selection,
        fusion=FUSION.model_copy(update={"feature_sets": feature_sets, "primary_feature_set": feature_sets[1]}),
        harmonisation=HarmonisationSettings(method="combat", batch="sex", covariates=["age"], min_batch=5),
        stability=StabilitySettings(perturbations=2, min_patients=5),
        embedding=20,
    ).write()


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> NoiseCohort:
    """A cohort with everything that is fitted from tables."""
    cohort = written(tmp_path_factory.mktemp("clean"), SELECTION)
    for fold in range(K):
        fit(cohort, fold)
    cohort.select("leaky")
    return cohort


@pytest.fixture(scope="module")
def ranked_by_auc(tmp_path_factory) -> NoiseCohort:
    """The same cohort, its features ranked by their own AUC and their number chosen by inner folds."""
    auc = SelectionSettings(method="auc", keep_choices=[1, 2, 3])
    return written(tmp_path_factory.mktemp("auc"), auc)


@pytest.mark.parametrize("method", ["clean", "ranked_by_auc"])
@few
@given(**corruptions)
def test_fits_when_rows_of_a_fold_are_corrupted_then_those_that_leave_it_out_stay(
    request, method, tmp_path_factory, fold, seed, scale
):
    clean = request.getfixturevalue(method)
    other = corrupted(clean, tmp_path_factory.mktemp("corrupted") / "run", fold, seed, scale)
    spoilt = rows_of(clean, fold)
    folders = clean.select(), other.select()
    tables = {
        name: [read_table(folder / f"{name}.parquet") for folder in folders] for name in ("selection", "stability")
    }
    arrays = [load_file(folder / "values.safetensors") for folder in folders]
    facts = [read_json(folder / "facts.json")["fits"] for folder in folders]
    assert set(arrays[0]) == set(arrays[1])
    for name in all_fits(K):
        stays = fold in left_out(name)
        for pair in tables.values():
            first, second = (table[table["fit"] == name].reset_index(drop=True) for table in pair)
            assert first.equals(second) == stays
        own = [{key: value.tobytes() for key, value in found.items() if key.startswith(f"{name}/")} for found in arrays]
        assert len(own[0]) == 5 * len(RADIOMICS)
        assert (own[0] == own[1]) == stays
        assert (facts[0][name] == facts[1][name]) or not stays
        if stays:
            for kind in RADIOMICS:
                seen = [read_table(folder / f"{name}-{kind}.parquet").set_index("patient") for folder in folders]
                pd.testing.assert_frame_equal(*(table.drop(index=spoilt) for table in seen), check_exact=True)
                assert len(seen[0].columns)
    leaky = [read_table(cohort.select("leaky") / "selection.parquet") for cohort in (clean, other)]
    for name in outer_fits(fold, K):
        assert not leaky[0][leaky[0]["fit"] == name].equals(leaky[1][leaky[1]["fit"] == name])


@few
@given(**corruptions)
def test_classifiers_when_rows_of_a_fold_are_corrupted_then_its_outer_fits_stay(
    clean, tmp_path_factory, fold, seed, scale
):
    other = corrupted(clean, tmp_path_factory.mktemp("corrupted") / "run", fold, seed, scale)
    folders = [cohort.folder / f"as-is/fold-{fold}" for cohort in (clean, other)]
    fit(other, fold)
    first, second = (contents(folder) for folder in folders)
    assert len(first) > 6
    assert first == second
    for kind in (".", "survival"):
        before, after = (inner(folder, kind) for folder in folders)
        assert set(before["patient"]).isdisjoint(rows_of(clean, fold))
        assert before.iloc[:, 4:].notna().all(axis=None)
        pd.testing.assert_frame_equal(before, after, check_exact=True)
    # The classifiers of another outer fold learn from these rows.
    beside = (fold + 1) % K
    fit(other, beside)
    changed = [cohort.folder / f"as-is/fold-{beside}" for cohort in (clean, other)]
    first, second = (contents(folder) for folder in changed)
    for name in set(first) & set(second):
        assert first[name] != second[name], name


# The networks.

PATIENTS = [f"P{i:02d}" for i in range(12)]


def write_patches(folder: Path, patients: list[str], rng: np.random.Generator) -> None:
    for patient in patients:
        channels = rng.random((3, 32, 32, 32), dtype=np.float32)
        image = sitk.JoinSeries([sitk.GetImageFromArray(channel) for channel in channels])
        write_volume(folder / f"{patient}.nii.gz", image)
    collected(folder)


class Networks:
    """Networks of a cohort of random patches, trained where they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def network(self, name: str) -> Path:
        from metaswin.config.imaging import PatchesSettings
        from metaswin.config.models import DeepSettings
        from metaswin.models.train_network import train_network

        folder = self.folder / name
        if not folder.exists():
            tiny = DeepSettings(embed_dim=12, epochs=1, warmup_epochs=0, threads=1, device="cpu")
            train_network(
                self.patches,
                str(self.folder / "folds.parquet"),
                str(folder / "network.safetensors"),
                str(folder / "training.json"),
                self.folder / "scratch" / name,
                {"endpoint": "dm", "repeat": 0, "fit": name, "backbone": "swin"},
                tiny,
                PatchesSettings(size=32, spacing=2.0, organ_groups={}),
                SEED,
            )
        return folder / "network.safetensors"

    @property
    def patches(self) -> str:
        return str(self.folder / "patches.safetensors")

    def scores(self, fold: int) -> pd.DataFrame:
        from metaswin.config.models import DeepSettings
        from metaswin.models.deep_features import extract_features

        output = self.folder / f"scores-{fold}.parquet"
        networks = {name: str(self.network(name)) for name in outer_fits(fold, K)}
        alone = DeepSettings(threads=1, device="cpu")
        extract_features(self.patches, str(self.folder / "folds.parquet"), networks, str(output), 0, fold, alone)
        return read_table(output)


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Networks:
    folder = tmp_path_factory.mktemp("networks")
    write_patches(folder, PATIENTS, np.random.default_rng(0))
    label = pd.array(np.arange(12) // 3 % 2, dtype="Int8")
    outcome = pd.DataFrame({"patient": PATIENTS, "label": label, "time": np.arange(12) + 1.0, "event": label})
    write_table(folder / "folds.parquet", outcome.assign(repeat=0, fold=np.arange(12) % K))
    return Networks(folder)


@settings(few, max_examples=1)
@given(fold=corruptions["fold"], seed=corruptions["seed"])
def test_networks_when_rows_of_a_fold_are_corrupted_then_those_without_it_stay(networks, tmp_path_factory, fold, seed):
    other, rng = Networks(tmp_path_factory.mktemp("corrupted")), np.random.default_rng(seed)
    folds = read_table(networks.folder / "folds.parquet")
    rows = folds["fold"] == fold
    write_table(other.folder / "folds.parquet", corrupted_outcome(folds, rows, rng))
    for path in networks.folder.glob("*.nii.gz"):
        shutil.copy(path, other.folder)
    write_patches(other.folder, folds.loc[rows, "patient"].tolist(), rng)
    for name in outer_fits(fold, K):
        assert networks.network(name).read_bytes() == other.network(name).read_bytes()
    # The deep scores of the outer fold, but for its test rows.
    before, after = (found.scores(fold) for found in (networks, other))
    pd.testing.assert_frame_equal(before[~rows], after[~rows], check_exact=True)
    assert before.loc[~rows, "score"].notna().all()
    assert not before[rows].equals(after[rows])
    beside = fit_name((fold + 1) % K)
    assert networks.network(beside).read_bytes() != other.network(beside).read_bytes()
