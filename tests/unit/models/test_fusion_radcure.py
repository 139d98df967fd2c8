"""The clinical feature sets on RADCURE against one-hot logistic regression, on the same folds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from metaswin.cohort.folds import Folds
from metaswin.config.models import FusionSettings
from metaswin.features.encoder import fit_encoder
from metaswin.models.classifiers import fit_logistics, fit_networks
from metaswin.models.fusion import ThresholdRule, fit_classifier
from metaswin.models.thresholds import auc

CATEGORIES = ["Sex", "Smoking Status", "T", "N", "HPV", "Ds Site", "ECOG PS"]
HORIZON = 730.5


@pytest.fixture(scope="module")
def table(shared_data):
    """Staging columns and DM within two years, deaths as non-events, of patients with a known outcome."""
    path = shared_data / "radcure/RADCURE_Clinical_v04_20241219.csv"
    if not path.is_file():
        pytest.skip(f"no {path.name} in radcure/ of METASWIN_SHARED")
    raw = pd.read_csv(path).rename(columns=str.strip)
    dates = {name: pd.to_datetime(raw[name], format="%m/%d/%Y") for name in ("RT Start", "Date Distant", "Last FU")}
    dm, followup = ((dates[name] - dates["RT Start"]).dt.days for name in ("Date Distant", "Last FU"))
    distant = raw["Distant"] == "Yes"
    event = distant & (dm > 0) & (dm <= HORIZON)
    known = event | (followup >= HORIZON) | (raw["Status"] == "Dead")
    left = raw["Distant"].isin(["Possible", "Persistent"]) | (raw["M"] == "M1") | (distant & (dm <= 0))
    return raw[["Age", *CATEGORIES]].assign(label=event.astype(float))[known & ~left].reset_index(drop=True)


@pytest.mark.long
@pytest.mark.shared
def test_classifiers_when_radcure_staging_then_near_one_hot_logistic_regression(table):
    settings, label = FusionSettings(), table["label"].to_numpy()
    kinds = {"Age": "numeric", **dict.fromkeys(CATEGORIES, "category")}
    text = table[CATEGORIES].fillna("unknown").apply(lambda column: column.str.strip().str.casefold())
    plain = text.assign(Age=table["Age"])
    found = {"network": [], "logistic": [], "reference": []}
    fold, nothing = np.empty(len(label), dtype=int), np.full(len(label), np.nan)
    splits = list(StratifiedKFold(5, shuffle=True, random_state=1).split(table, label))
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    folds = Folds(table.index.tolist(), fold, label, nothing, nothing, np.ones(len(label), dtype=bool))
    for number, (train, test) in enumerate(splits):
        rows = folds.outer(number)
        modalities = {
            name: [fit_encoder(table[rows.fitted(name)], kinds, settings.category_min_rows).transform(table)]
            for name in rows.fits
        }
        classifiers = {
            "network": (lambda b, y, p, name: fit_networks(b, y, p, settings.network, 1), settings.network.penalties),
            "logistic": (lambda b, y, p, name: fit_logistics(b, y, p), settings.logistic_penalties),
        }
        for name, (fit, penalties) in classifiers.items():
            probability = fit_classifier(
                fit, modalities, rows, penalties, ThresholdRule(), recalibrate=True
            ).probability
            found[name].append(auc(probability[test], label[test]))
            assert probability[test].mean() == pytest.approx(label[test].mean(), abs=0.02)
        reference = make_pipeline(
            make_column_transformer((StandardScaler(), ["Age"]), (OneHotEncoder(handle_unknown="ignore"), CATEGORIES)),
            LogisticRegression(max_iter=5000),
        ).fit(plain.iloc[train], label[train])
        found["reference"].append(auc(reference.decision_function(plain.iloc[test]), label[test]))
    means = {name: np.mean(values) for name, values in found.items()}
    assert means["reference"] == pytest.approx(0.735, abs=0.01)
    assert means["network"] == pytest.approx(means["reference"], abs=0.01)
    assert means["logistic"] == pytest.approx(means["reference"], abs=0.01)
