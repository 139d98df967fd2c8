"""What is fitted on inner out-of-fold predictions."""

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.folds import Folds
from metaswin.cohort.screening import column_aucs
from metaswin.core.errors import UserError
from metaswin.models.classifiers import Logistics, fit_logistics
from metaswin.models.fusion import ThresholdRule, fit_classifier

RULE = ThresholdRule()


def outer_fold(n=120, k=5, seed=0):
    """Fold 0 of a repeat whose folds are dealt in turn; two labels of its training rows are unknown."""
    label = (np.random.default_rng(seed).random(n) < 0.3).astype(float)
    label[[1, 13]] = np.nan
    nothing = np.full(n, np.nan)
    return Folds([f"P{i}" for i in range(n)], np.arange(n) % k, label, nothing, nothing, ~np.isnan(label)).outer(0)


def test_rows_when_a_fit_has_one_outcome_then_the_message_names_fit_and_setting():
    table = pd.DataFrame({"patient": list("abcd"), "label": [1.0, 0, 0, 1], "repeat": 0, "fold": [1, 1, 2, 0]})
    rows = Folds.of(table.assign(time=np.nan, event=np.nan), 0).outer(0)
    with pytest.raises(UserError, match=r"fold 0, fit without-0-1: found no event among 1 .*folds\.k lower"):
        rows.check_both_outcomes("fold 0")


def test_classifier_when_it_over_fits_then_threshold_and_slope_come_from_unseen_rows():
    # 300 noise columns, hardly penalised: perfect on the rows it was fitted on, nothing elsewhere.
    rows = outer_fold()
    noise = np.random.default_rng(1).normal(size=(120, 300))
    modalities = {name: [noise] for name in rows.fits}
    fit = fit_classifier(lambda b, y, p, name: fit_logistics(b, y, p), modalities, rows, [1e-3], RULE, recalibrate=True)
    assert fit.auc_train == 1
    assert 0.2 < fit.auc_inner < 0.8
    # Recalibration takes the false confidence away.
    assert fit.recalibration.slope < 0.2
    known = rows.train
    assert fit.probability[known].mean() == pytest.approx(rows.label[known].mean(), abs=0.01)
    positive = fit.probability[known] >= fit.threshold
    assert positive.mean() < 1


def test_classifier_when_columns_are_noise_then_strongest_penalty_but_not_for_signal():
    rows = outer_fold(n=200)
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(200, 60))
    noise = {name: [columns] for name in rows.fits}
    strong = rng.normal(size=(200, 1)) + 3 * np.nan_to_num(rows.label)[:, None]
    signal = {name: [strong] for name in rows.fits}
    penalties = [1e4, 0.01, 1.0]

    def penalty(modalities):
        return fit_classifier(
            lambda b, y, p, name: fit_logistics(b, y, p), modalities, rows, penalties, RULE, True
        ).penalty

    assert penalty(noise) == 1e4
    assert penalty(signal) <= 1.0


def test_classifier_when_fitted_then_rows_are_predicted_by_fits_without_their_fold():
    rows = outer_fold()
    column = np.arange(120.0)[:, None]
    seen = {}

    def fit(modalities, label, penalties, name):
        seen[name] = set(modalities[0][:, 0].astype(int))
        intercept = 0.0 if name == "without-0" else int(name[-1]) / 10
        return Logistics({"coef": np.zeros((len(penalties), 1)), "intercept": np.full(len(penalties), intercept)})

    fitted = fit_classifier(fit, {name: [column] for name in rows.fits}, rows, [1.0], RULE, recalibrate=False)
    logits = np.log(fitted.probability / (1 - fitted.probability))
    assert logits == pytest.approx(np.arange(120) % 5 / 10, abs=1e-9)
    assert set(seen) == {"without-0", "without-0-1", "without-0-2", "without-0-3", "without-0-4"}
    for name, rows_seen in seen.items():
        left_out = [int(fold) for fold in name.split("-")[1:]]
        known = set(range(120)) - {1, 13}
        assert rows_seen == {row for row in known if row % 5 not in left_out}


def test_classifier_when_recalibrated_then_ranks_of_test_rows_stay():
    rows = outer_fold()
    columns = np.random.default_rng(3).normal(size=(120, 4))
    modalities = {name: [columns] for name in rows.fits}
    plain, adjusted = (
        fit_classifier(lambda b, y, p, name: fit_logistics(b, y, p), modalities, rows, [1.0], RULE, recalibrate=on)
        for on in (False, True)
    )
    test = rows.test
    assert not np.allclose(plain.probability[test], adjusted.probability[test], atol=1e-3)
    assert (np.argsort(plain.probability[test]) == np.argsort(adjusted.probability[test])).all()
    # The same rows are positive.
    assert np.array_equal(plain.probability >= plain.threshold, adjusted.probability >= adjusted.threshold)


def test_suspicion_when_columns_reveal_the_outcome_then_their_auc_is_near_one():
    rng = np.random.default_rng(4)
    label = (rng.random(100) < 0.3).astype(float)
    fold = np.arange(100) % 4
    table = pd.DataFrame(
        {
            "after": np.where(label == 1, "Relapse " + pd.Series(rng.integers(0, 3, 100)).astype(str), "none"),
            "day": -label + rng.normal(size=100) * 0.01,
            "gap": pd.Series(rng.normal(size=100)).where(label == 0),
            "id": [f"id{i}" for i in range(100)],
            "age": rng.normal(size=100),
        }
    )
    kinds = {"after": "category", "day": "numeric", "gap": "numeric", "id": "category", "age": "numeric"}
    found = column_aucs(table, kinds, label, fold)
    assert found["after"] > 0.95
    assert found["day"] > 0.95
    assert found["gap"] > 0.95
    # As many levels as rows tell nothing.
    assert found["id"] <= 0.6
    assert 0.5 <= found["age"] < 0.65
