"""The hazard model on a simulated cohort whose true risk is known."""

import json

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.folds import Place, make_folds
from metaswin.cohort.outcomes import outcome
from metaswin.config.cohort import ClinicalSettings, EndpointSettings, FoldsSettings
from metaswin.config.models import FusionSettings, SurvivalSettings
from metaswin.core.files import write_table
from metaswin.evaluation.censoring import Censoring
from metaswin.evaluation.cumulative_incidence import cumulative_incidence
from metaswin.evaluation.survival import survival_metrics
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs
from metaswin.models.hazard import train_hazard
from metaswin.simulate.cohort import simulate_cohort
from metaswin.simulate.options import HORIZON_YEARS, preset_options

HORIZON = HORIZON_YEARS * 365.25
# The default. Of three folds an inner fit sees one, and so prefers a stronger penalty than the final fit needs.
FOLDS = 5
ENDPOINT = {
    "horizon_days": HORIZON,
    "followup": "followup_days",
    "event": {"column": "dm_event", "time": "dm_time_days"},
    "death": {"column": "death_event", "time": "death_time_days"},
}
CLINICAL = ["age", "smoking_status", "n_stage"]
# The latents themselves: what can be known of the risk is known; volume enters as the feature set's second block.
LATENTS = ["texture", "peritumoral"]
FEATURE_SET = "clinical+volume"


def fitted(folder, preset, n):
    """Test rows of every fold with the classifier's risk and the true one, and each fold's censoring distribution."""
    simulate_cohort(folder / "cohort", preset_options(preset, n=n, seed=3, level="table", draws=1000))
    raw = pd.read_csv(folder / "cohort/clinical.csv", dtype=str).set_index("patient_id")
    features = pd.read_csv(folder / "cohort/features.csv").set_index("patient_id")
    truth = pd.read_csv(folder / "cohort/truth.csv").set_index("patient_id")
    raw = raw.astype(object).where(raw.notna(), None)
    known = outcome(raw, "dm_2y", EndpointSettings(**ENDPOINT), ClinicalSettings())
    folds, _ = make_folds(known.table, pd.DataFrame(index=raw.index), FoldsSettings(k=FOLDS), 1, "dm_2y")
    clinical = truth[LATENTS].assign(**raw[CLINICAL].astype({"age": "float64"})).rename_axis("patient")
    kinds = {name: "category" if name in CLINICAL[1:] else "numeric" for name in clinical}
    metadata = {"roles": json.dumps(dict.fromkeys(kinds, "baseline")), "kinds": json.dumps(kinds)}
    volume = features["tumor__original_shape_VoxelVolume"].rename("volume_tumor_mm3").rename_axis("patient")
    write_table(folder / "folds.parquet", folds)
    write_table(folder / "clinical.parquet", clinical.reset_index(), metadata)
    write_table(folder / "volume.parquet", volume.reset_index())
    files = ModalityFiles(str(folder / "clinical.parquet"), {}, volume=str(folder / "volume.parquet"))
    for fold in range(FOLDS):
        train_hazard(
            str(folder / "folds.parquet"),
            files,
            FoldOutputs(*(str(folder / name) for name in (f"{fold}.parquet", f"{fold}.json", f"models-{fold}"))),
            Place("dm_2y", 0, fold),
            HORIZON,
            {"all": list(kinds)},
            SurvivalSettings(feature_sets=[FEATURE_SET]),
            FusionSettings(modalities=["clinical"]),
            7,
        )
        risk = pd.read_parquet(folder / f"{fold}.parquet").set_index("patient")["risk"]
        test, train = folds[folds["fold"] == fold], folds[folds["fold"] != fold]
        censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
        columns = {"risk": test["patient"].map(risk), "truth": test["patient"].map(truth["risk_2y"])}
        yield test.assign(**columns), censoring


def metrics(rows, censoring, column):
    arrays = (rows[name].to_numpy(dtype="float64") for name in (column, "time"))
    label = rows["label"].to_numpy(dtype="float64", na_value=np.nan)
    return survival_metrics(*arrays, rows["event"].to_numpy(dtype="int64"), label, HORIZON, censoring)


@pytest.mark.long
def test_classifier_when_the_risk_is_known_then_calibrated_and_nearly_as_concordant(tmp_path):
    found = list(fitted(tmp_path, "reference", 1600))
    ours, best = ([metrics(*fold, column) for fold in found] for column in ("risk", "truth"))
    for metric, most in [("c_index", 0.025), ("auc_t", 0.03)]:
        gaps = [b[metric].value - o[metric].value for o, b in zip(ours, best, strict=True)]
        assert np.mean(gaps) < most
    assert np.mean([each["c_index"].value for each in ours]) > 0.72
    assert np.mean([o["brier_t"].value - b["brier_t"].value for o, b in zip(ours, best, strict=True)]) < 0.01
    rows = pd.concat([rows for rows, _ in found])
    assert rows["risk"].mean() == pytest.approx(rows["truth"].mean(), abs=0.025)
    slope = np.polyfit(np.log(rows["risk"] / (1 - rows["risk"])), np.log(rows["truth"] / (1 - rows["truth"])), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.25)
    fifths = pd.qcut(rows["risk"], 5, labels=False)
    for number in range(5):
        part = rows[fifths == number]
        time, event = part["time"].to_numpy(), part["event"].to_numpy(dtype="int64")
        observed = cumulative_incidence(time, event, 1, np.array([HORIZON]), 0.99)
        assert observed.low[0] < part["truth"].mean() < observed.high[0]


@pytest.mark.long
def test_classifier_when_nothing_predicts_then_no_concordance(tmp_path):
    found = [metrics(*fold, "risk")["c_index"].value for fold in fitted(tmp_path, "null", 1200)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
