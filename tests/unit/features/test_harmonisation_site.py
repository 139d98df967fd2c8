"""Association of batches and outcome."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln

from metaswin.core.files import write_table
from metaswin.features.site import SiteInputs, associate_site, association, cramers_v


def patients(table: dict[str, tuple[int, int]]) -> tuple[pd.Series, pd.Series]:
    """Levels and labels of a table level → (non-events, events)."""
    levels = [level for level, counts in table.items() for _ in range(sum(counts))]
    label = [value for counts in table.values() for value in (0, 1) for _ in range(counts[value])]
    index = [f"P{i}" for i in range(len(levels))]
    return pd.Series(levels, index=index, dtype=object), pd.Series(label, index=index)


def test_association_when_counts_are_large_then_pearsons_chi_squared():
    found = association(*patients({"a": (20, 30), "b": (30, 20)}), seed=1)
    # (ad - bc)² n / product of the margins = (400 - 900)² 100 / 50⁴
    assert found["statistic"] == pytest.approx(4.0)
    assert found["p"] == pytest.approx(0.0455003)
    assert (found["test"], found["levels"], found["n"]) == ("chi-squared", 2, 100)
    assert found["counts"] == "a: 30 of 50; b: 20 of 50"


def test_association_of_the_lady_tasting_tea_equals_fishers_exact_test():
    found = association(*patients({"milk": (3, 1), "tea": (1, 3)}), seed=1)
    assert found["test"] == "Fisher-Freeman-Halton"
    assert found["p"] == pytest.approx(34 / 70)


def test_association_when_several_small_levels_then_freeman_halton_by_permutation():
    levels, label = patients({"a": (1, 4), "b": (3, 1), "c": (5, 0)})
    found = association(levels, label, seed=1)
    rng = np.random.default_rng(0)
    member = (levels.to_numpy()[:, None] == ["a", "b", "c"]).astype(float)
    events = np.stack([member.T @ rng.permutation(label.to_numpy()) for _ in range(20_000)])
    # The probability of a table with these margins falls with the product of the factorials of its cells.
    sizes = np.array([5, 4, 5])
    weight = -(gammaln(events + 1) + gammaln(sizes - events + 1)).sum(axis=1)
    observed = -(gammaln(np.array([4, 1, 0]) + 1) + gammaln(np.array([1, 3, 5]) + 1)).sum()
    assert found["p"] == pytest.approx(np.mean(weight <= observed + 1e-9), abs=0.02)
    assert found["p"] == association(levels, label, seed=1)["p"]


def test_association_when_values_are_missing_then_they_are_counted_apart():
    levels, label = patients({"a": (20, 30), "b": (30, 20)})
    label = label.astype("float64")
    levels.iloc[:4] = None
    label.iloc[4:9] = np.nan
    found = association(levels, label, seed=1)
    assert (found["n"], found["missing"]) == (91, 4)


@pytest.mark.parametrize(
    ("table", "why"), [({"a": (5, 5)}, "fewer than two levels"), ({"a": (5, 0), "b": (3, 0)}, "one outcome only")]
)
def test_association_when_it_cannot_be_estimated_then_the_reason_is_given(table, why):
    found = association(*patients(table), seed=1)
    assert why in found["why"]
    assert "p" not in found


def test_cramers_v_when_there_is_no_association_then_the_correction_removes_the_bias():
    rng = np.random.default_rng(2)
    raw, corrected = [], []
    for _ in range(200):
        table = np.array([rng.multinomial(20, [0.8, 0.2]) for _ in range(5)])
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / 100
        statistic = ((table - expected) ** 2 / expected).sum()
        raw.append(np.sqrt(statistic / 100))
        corrected.append(cramers_v(statistic, 100, 5, 2))
    assert np.mean(raw) > 0.17
    assert np.mean(np.square(corrected)) < 0.012
    # Perfect association: V = 1.
    assert cramers_v(100.0, 100, 2, 2) == pytest.approx(1.0)
    assert cramers_v(5.0, 5, 5, 2) is None


def test_associate_site_writes_one_row_per_endpoint_and_available_column(tmp_path):
    levels, label = patients({"SIEMENS": (20, 30), "GE": (30, 20)})
    inputs = SiteInputs(*(str(tmp_path / f"{name}.parquet") for name in ("outcomes", "used", "clinical")))
    outcome = pd.DataFrame({"patient": levels.index, "label": pd.array(label, dtype="Int8")})
    write_table(inputs.outcomes, pd.concat([outcome.assign(endpoint=name) for name in ("dm_2y", "dm")]))
    write_table(inputs.used, pd.DataFrame({"patient": levels.index, "manufacturer": levels.to_numpy()}))
    write_table(inputs.clinical, pd.DataFrame({"patient": levels.index, "centre": [1.0, 2.0] * 50}))
    output = tmp_path / "site.parquet"
    associate_site(inputs, str(output), ["manufacturer", "centre", "absent"], seed=1)
    found = pd.read_parquet(output)
    assert found["endpoint"].tolist() == ["dm", "dm", "dm_2y", "dm_2y"]
    assert found["column"].tolist() == ["manufacturer", "centre"] * 2
    assert found.loc[0, "counts"] == "ge: 20 of 50; siemens: 30 of 50"
    assert found["p"].between(0, 1).all()
    associate_site(inputs, str(output), [], seed=1)
    assert pd.read_parquet(output)["column"].tolist() == ["manufacturer"] * 2
