"""Leave one centre out: which centres make a fold, and what the fits see of them."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaswin.cohort.centres import FEWEST, CentreInputs, fold_levels, group_centres, notes_on, spelt
from metaswin.cohort.fits import all_fits, left_out
from metaswin.cohort.folds import Folds, centre_folds, number_of_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table
from metaswin.evaluation.permuted_folds import permuted_folds


def cohort(counts: dict[str, tuple[int, int]]) -> tuple[pd.Series, pd.DataFrame]:
    """Centre of each patient, and outcomes, for numbers of events and of non-events by centre."""
    centre = [name for name, (events, others) in counts.items() for _ in range(events + others)]
    label = [value for events, others in counts.values() for value in [1] * events + [0] * others]
    patients = [f"P{i:04d}" for i in range(len(centre))]
    outcome = pd.DataFrame({"patient": patients, "label": pd.array(label, dtype="Int8")})
    return pd.Series(centre, index=patients), outcome.assign(time=1.0, event=pd.array(label, dtype="Int8"))


def levels_of_folds(counts: dict[str, tuple[int, int]]) -> list[list[str]]:
    level, outcome = cohort(counts)
    return fold_levels(level, {"dm": outcome.set_index("patient")["label"]}, "centre")


def grouped(folder, counts: dict[str, tuple[int, int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and ``centres.parquet`` of a clinical table with these counts."""
    level, outcome = cohort(counts)
    clinical = pd.DataFrame({"patient": level.index, "centre ": level.to_numpy()})
    tables = {"patients": outcome[["patient"]], "clinical": clinical, "outcomes": outcome.assign(endpoint="dm")}
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    inputs = CentreInputs(*(str(folder / f"{name}.parquet") for name in tables), choice="", series=None)
    group_centres(inputs, str(folder / "centres.parquet"), "centre")
    return outcome, read_table(folder / "centres.parquet")


def test_centres_when_all_are_large_then_each_is_a_fold_by_name():
    assert levels_of_folds({"C": (10, 30), "A": (40, 10), "B": (12, 12)}) == [["A"], ["B"], ["C"]]


def test_centres_when_some_are_small_then_they_share_the_last_fold():
    folds = levels_of_folds({"A": (20, 50), "B": (20, 50), "C": (9, 50), "D": (3, 70), "E": (20, 40)})
    assert folds == [["A"], ["B"], ["E"], ["D", "C"]]


def test_centres_when_the_small_ones_are_too_small_together_then_the_next_smallest_joins():
    folds = levels_of_folds({"A": (20, 50), "B": (20, 50), "C": (15, 90), "D": (3, 70), "E": (20, 40)})
    assert folds == [["A"], ["B"], ["E"], ["D", "C"]]


def test_centres_when_endpoints_differ_then_the_one_with_the_fewest_outcomes_counts():
    level, outcome = cohort(dict.fromkeys("ABCD", (20, 30)))
    label = outcome.set_index("patient")["label"]
    late = label.mask((level == "B") & (np.arange(len(level)) % 10 != 0))
    assert fold_levels(level, {"dm": label, "late": late}, "centre") == [["C"], ["D"], ["B", "A"]]


def test_centres_when_fewer_than_three_folds_are_left_then_they_are_listed_with_counts():
    with pytest.raises(UserError, match=r"found 2 folds of the levels of 'centre'.* at least 3 are needed") as error:
        levels_of_folds({"HGJ": (16, 75), "CHUM": (3, 62), "HMR": (8, 30)})
    assert "HGJ: dm 16 events and 75 non-events; HMR: dm 8 events and 30 non-events" in str(error.value)


def test_level_when_spelt_differently_or_missing_then_it_is_one_or_unknown():
    column = pd.Series(["CHUM", "chum ", "CHUM", "", None, "Unknown", "HMR"])
    assert spelt(column).tolist() == ["CHUM", "CHUM", "CHUM", "unknown", "unknown", "unknown", "HMR"]
    assert spelt(pd.Series([1.0, 2.0, np.nan])).tolist() == ["1", "2", "unknown"]


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("ABCDEFGH"), st.tuples(st.integers(0, 25), st.integers(0, 40)), min_size=3, max_size=8
    ),
    st.integers(0, 99),
)
def test_fit_without_a_centre_never_sees_its_rows(counts, seed):
    """And every centre lies within one fold, and every fold has the outcomes that it was made for."""
    counts = {name: found for name, found in counts.items() if sum(found)}
    level, outcome = cohort(counts)
    label = outcome.set_index("patient")["label"]
    try:
        levels = fold_levels(level, {"dm": label}, "centre")
    except UserError:
        return
    number = {name: fold for fold, names in enumerate(levels) for name in names}
    assert sorted(number) == sorted(counts)
    centres = pd.DataFrame({"patient": level.index, "fold": level.map(number).to_numpy()})
    centres["centre"] = centres["fold"].map(lambda fold: "+".join(levels[fold]))
    table = centre_folds(outcome.sample(frac=1, random_state=seed), centres, "dm")
    assert table.groupby("fold")["label"].sum().min() >= FEWEST
    folds = Folds.of(table, 0)
    assert folds.k == len(levels) >= 3
    for fit, training in folds.training().items():
        away = {name for fold in left_out(fit) for name in levels[fold]}
        assert not away & set(level[training])
    assert set(folds.training()) == set(all_fits(len(levels)))


def test_group_when_run_then_the_table_names_level_fold_and_centre(tmp_path):
    _, centres = grouped(tmp_path, {"A": (20, 50), "B": (20, 50), "D": (9, 50), "C": (8, 70)})
    first = centres.drop_duplicates("level").set_index("level")
    assert first["fold"].to_dict() == {"A": 0, "B": 1, "C": 2, "D": 2}
    assert first.at["D", "centre"] == "C + D"
    assert number_of_folds(tmp_path / "centres.parquet") == 3


def test_group_when_by_manufacturer_then_it_is_that_of_the_chosen_ct(tmp_path):
    level, outcome = cohort({"GE": (20, 30), "SIEMENS": (12, 30), "Philips": (15, 20)})
    series = pd.DataFrame({"patient": level.index, "series": "s-1", "manufacturer": level.to_numpy()})
    others = series.assign(series="s-2", manufacturer="TOSHIBA")
    choice = pd.concat([series, others])[["patient", "series"]]
    choice = choice.assign(chosen=choice["series"] == "s-1", rank=pd.array([1] * len(choice), dtype="Int64"))
    tables = {
        "patients": outcome[["patient"]], "clinical": outcome[["patient"]], "outcomes": outcome.assign(endpoint="dm"),
        "choice": choice, "series": pd.concat([series, others]),
    }  # fmt: skip
    for name, table in tables.items():
        write_table(tmp_path / f"{name}.parquet", table)
    group_centres(
        CentreInputs(*(str(tmp_path / f"{name}.parquet") for name in tables)),
        str(tmp_path / "centres.parquet"),
        "manufacturer",
    )
    found = read_table(tmp_path / "centres.parquet")
    assert found.drop_duplicates("fold")["centre"].tolist() == ["GE", "SIEMENS", "Philips"]
    assert found["level"].tolist() == level.tolist()


def test_group_when_no_patient_is_planned_then_the_gate_reports_it(tmp_path):
    _, centres = grouped(tmp_path, {})
    assert centres.empty


def test_folds_when_a_centre_lost_all_its_patients_then_the_centre_is_named(tmp_path):
    outcome, centres = grouped(tmp_path, dict.fromkeys("ABC", (10, 20)))
    used = outcome[outcome["patient"].isin(centres.loc[centres["level"] != "B", "patient"])]
    with pytest.raises(UserError, match=r"endpoint dm: found no used patient of the centre 'B'"):
        centre_folds(used, centres, "dm")


def test_folds_when_made_then_unused_patients_are_omitted_and_the_stratum_is_the_centre(tmp_path):
    outcome, centres = grouped(tmp_path, dict.fromkeys("ABC", (10, 20)))
    table = centre_folds(outcome.iloc[3:], centres, "dm")
    assert len(table) == 87
    assert table.groupby("stratum")["fold"].unique().map(list).to_dict() == {"A": [0], "B": [1], "C": [2]}
    assert table["repeat"].unique().tolist() == [0]


def test_notes_when_centres_are_merged_or_unknown_then_they_are_named_without_counts(tmp_path):
    _, centres = grouped(tmp_path, {"A": (20, 50), "B": (20, 50), "unknown": (9, 50), "C": (8, 70)})
    plain, merged, unknown = notes_on(centres, "centre")
    assert plain == "leave one centre out: each level of centre is one fold"
    assert merged.endswith("share one fold: C, unknown")
    assert re.findall(r"\d+", merged) == ["2", "10"]
    assert "the level unknown; they may come from a centre that a fit leaves out" in unknown


def test_permuted_folds_when_by_centre_then_only_the_outcome_moves(tmp_path):
    outcome, centres = grouped(tmp_path, dict.fromkeys("ABC", (10, 20)))
    table = centre_folds(outcome, centres, "dm")
    by_centre = FoldsSettings(by="centre")
    found = permuted_folds(table, pd.DataFrame(index=outcome["patient"]), by_centre, 1, "dm", 1)
    assert found.set_index("patient")["fold"].equals(table.set_index("patient")["fold"])
    assert (found["label"] != table["label"]).any()
    assert found["label"].sum() == table["label"].sum()
