"""Numbers, names, sentences and facts of the report."""

import pandas as pd
import pytest

from metaswin.config.features import SelectionSettings
from metaswin.core.files import write_text
from metaswin.core.formatting import (
    Shown,
    count,
    days,
    feature_set_name,
    feature_set_order,
    listed,
    p_text,
    plain,
    seconds,
)
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.facts import machine, published, settings_hash, times, versions
from metaswin.report.files import portable
from metaswin.report.methods import methods
from metaswin.report.notes import label_rule, limits
from metaswin.report.summary import summarise, volume_statement, volume_suffices

PRIMARY = "clinical+radiomics"


def endpoint(low=-0.02, high=0.06, events=150, auc_low=0.6, horizon=730.5, deaths="nonevent", warnings=()) -> Endpoint:
    suffix = "_ipcw" if horizon else ""
    rows = []
    aucs = {PRIMARY: 0.72, "radiomics": 0.6, "clinical:paper": 0.66, "clinical:staging": 0.68, "volume": 0.70}
    for feature_set, auc in aucs.items():
        row = {
            "feature_set": feature_set,
            "classifier": "network",
            "n": 500,
            "events": events,
            "nonevents": 500 - events,
            "unknown": 20,
        }
        row |= {"folds": 5, "primary": feature_set == PRIMARY}
        for metric in ("auc", "acc", "sen", "spe"):
            for weighting in {"", suffix}:
                name = metric + weighting
                row |= {name: auc, f"{name}_low": auc_low, f"{name}_high": 0.8, f"{name}_why": ""}
        rows.append(row)
    comparisons = [
        {"classifier": "network", "against": feature_set, "against_classifier": "network",
         "metric": f"auc{suffix}", "value": 0.02,
         "low": low, "high": high, "why": ""}
        for feature_set in ("clinical:paper", "clinical:staging", "volume")
    ]  # fmt: skip
    facts = {
        "name": "dm",
        "horizon_days": horizon,
        "deaths": deaths if horizon else None,
        "primary": PRIMARY,
        "weighting": "ipcw" if horizon else "known",
        "modalities": ["clinical", "radiomics"],
        "warnings": list(warnings),
    }
    tables = {"summary": pd.DataFrame(rows), "comparisons": pd.DataFrame(comparisons)}
    return Endpoint(facts, {"column": "DM", "positive": [1]}, 0.95, tables, pd.DataFrame(), [], "clinical:paper")


def test_summary_has_three_sentences_with_the_numbers():
    how, against, trust = (text for _, text in summarise(endpoint()))
    assert how.startswith("With clinical variables and radiomics joined by the fusion network, the mean AUC is 0.720")
    assert against.startswith("No difference from tumour volume alone (AUC 0.700) is shown (difference +0.020, 95%")
    assert "95% interval −0.020 to +0.060)." in against
    assert "No difference from the clinical set “staging”, the best of 2 clinical sets (AUC 0.680) is shown" in against
    assert "based on 500 patients, 150 of them with the event." in trust


@pytest.mark.parametrize(
    ("low", "high", "verdict", "suffices"),
    [
        (0.01, 0.06, "The primary model is better than ", False),
        (-0.06, -0.01, "The primary model is worse than ", True),
        (-0.02, 0.06, "No difference from ", True),
        (None, None, "the interval is not estimable", False),
    ],
)
def test_verdict_follows_the_interval_with_the_same_words_for_every_baseline(low, high, verdict, suffices):
    found = endpoint(low=low, high=high)
    volume, clinical = summarise(found)[1][1].split("tumour volume alone")
    assert verdict in volume + clinical.split(").")[0]
    assert clinical.count(verdict) >= 1
    assert verdict in volume_statement(found)
    assert volume_suffices(found) is suffices
    assert "as good" not in summarise(found)[1][1]


@pytest.mark.parametrize(("error", "equivalent"), [(0.01, True), (0.018, True), (0.0183, False), (0.03, False)])
def test_equivalence_follows_from_two_one_sided_tests_not_from_an_interval_that_contains_0(error, equivalent):
    # Difference .02, margin .05: the 90 % interval ends at .02 + 1.645 error.
    found = endpoint(low=0.02 - 1.96 * error, high=0.02 + 1.96 * error)
    found.tables["comparisons"]["error"] = error
    found.facts["equivalence_margin"] = 0.05
    assert ("equivalent within 0.05" in volume_statement(found)) is equivalent
    found.facts["equivalence_margin"] = 0.02
    assert "equivalent" not in volume_statement(found)


def test_summary_when_a_set_is_named_before_the_run_then_it_is_compared_not_the_best():
    found = endpoint()
    table = found.tables["comparisons"].assign(family="exploratory", p_holm=float("nan"))
    table.loc[table["against"].isin(["clinical:paper", "volume"]), "family"] = "confirmatory"
    found.tables["comparisons"] = table
    assert "No difference from the clinical set “paper”, named in the settings (AUC" in summarise(found)[1][1]


def controls(**values) -> pd.DataFrame:
    row = {"control": "shuffled", "feature_set": "radiomics", "classifier": "network", "p": float("nan"), "as_is": 0.7}
    return pd.DataFrame([{**row, "difference_low": -0.02, "difference_high": 0.03, **values}])


def test_trust_when_shuffled_is_not_shown_worse_then_texture_is_not_shown_to_matter():
    found = endpoint()
    found.tables["controls"] = controls()
    assert "not shown to use texture" in summarise(found)[2][1]
    found.tables["controls"] = controls(difference_low=0.01)
    assert "texture" not in summarise(found)[2][1]


def test_trust_when_a_permuted_outcome_does_as_well_then_it_says_so():
    found = endpoint()
    found.tables["controls"] = controls(control="permuted", feature_set=PRIMARY, p=0.2)
    assert "not shown to be higher than with a permuted outcome" in summarise(found)[2][1]
    found.tables["controls"] = controls(control="permuted", feature_set=PRIMARY, p=0.005)
    assert "permuted" not in summarise(found)[2][1]


def test_trust_names_few_events_an_interval_with_half_and_warnings():
    text = summarise(endpoint(events=40, auc_low=0.45, warnings=[{"code": "single-column"}]))[2][1]
    assert "Fewer than 100 events do not allow" in text
    assert "The interval of the AUC contains .5." in text
    assert "1 warning" in text


def test_trust_of_a_run_without_concerns_names_only_the_cohort():
    text = summarise(endpoint())[2][1]
    assert "coin" not in text
    assert "fewer than" not in text
    assert "outside this cohort" in text


@pytest.mark.parametrize(("deaths", "text"), [("nonevent", "counted as a non-event"), ("exclude", "are excluded")])
def test_label_rule_says_what_deaths_are(deaths, text):
    assert text in label_rule(endpoint(deaths=deaths))


def test_label_rule_of_a_plain_column_names_it():
    assert "column DM is 1" in label_rule(endpoint(horizon=None))


def limits_of(*endpoints, sources=("rtstruct",), source="dicom") -> str:
    used = pd.DataFrame({"tumor_source": list(sources)})
    return " ".join(limits(ReportData({}, pd.DataFrame(), used, list(endpoints)), {"source": source}))


def test_limits_of_a_horizon_name_the_censoring_assumption_and_excluded_deaths():
    assert "loss to follow-up" in limits_of(endpoint())
    assert "not known at baseline" not in limits_of(endpoint())
    assert "dm: excluding patients who died" in limits_of(endpoint(deaths="exclude"))
    assert "loss to follow-up" not in limits_of(endpoint(horizon=None))


def test_limits_name_automatic_contours():
    text = limits_of(endpoint(), sources=["nnunet", "rtstruct", "nnunet"])
    assert "contours of 2 patients were drawn automatically" in text
    assert "automatically" not in limits_of(endpoint())


def test_limits_of_a_feature_table_do_not_mention_the_published_count():
    assert "published count" in limits_of(endpoint())
    assert "published count" not in limits_of(endpoint(), source="features")


def methods_of(*endpoints, selection="forest", **folds) -> str:
    config = {
        "source": "dicom",
        "folds": {"by": None, "k": 5, "repeats": 1, "stratify": [], **folds},
        "radiomics": {"engine": "metaswin", "bin_width": 25.0, "bin_count": None, "image_types": ["Original", "LoG"]},
        "regions": {"spacing": 1.0},
        "selection": SelectionSettings(method=selection).model_dump(),
        "deep": {"backbone": "swin"},
        "fusion": {"deep_score": "cross-fitted"},
        "evaluation": {"threshold": "sensitivity", "sensitivity": 0.9},
        "harmonisation": {"method": "combat", "batch": "manufacturer"},
    }
    found = ReportData({"used": 520}, pd.DataFrame(), pd.DataFrame(), list(endpoints))
    return methods(found, config, {"Python": "3.11", "metaswin": "0.1.0"})


def test_methods_state_what_was_done():
    text = methods_of(endpoint(), repeats=5, stratify=["site"])
    assert "We analysed 520 patients for dm: distant metastasis within 2 years (730.5 days) (150 events" in text
    assert "5-fold cross-validation repeated 5 times, stratified by label and site" in text
    assert "(|Spearman ρ| > 0.9)" in text
    assert "sensitivity of 0.9" in text
    assert "Kaplan–Meier" in text
    assert "Swin" not in text


def test_methods_state_how_features_were_ranked_and_how_many_were_kept():
    found = endpoint()
    found.facts["modalities"] = ["clinical", "radiomics"]
    text = methods_of(found)
    assert "The 36 features ranked highest by a random forest of 500 trees were kept." in text
    text = methods_of(found, selection="auc")
    assert "forest" not in text
    assert "ranked by their own AUC on the training rows. Their number was chosen from 8, 16, 36 and 72" in text


def test_methods_name_the_confirmatory_comparisons_and_what_else_was_run():
    found = endpoint()
    found.tables["comparisons"] = found.tables["comparisons"].assign(
        family=["exploratory", "confirmatory", "confirmatory"]
    )
    found.tables["controls"] = controls(control="permuted")
    found.tables["survival"] = pd.DataFrame({"feature_set": ["volume"]})
    text = methods_of(found)
    assert "differences in AUC from clinical set “staging” and tumour volume, adjusted by Holm's method" in text
    assert "harmonised over manufacturer by ComBat" in text
    assert "Negative controls were permuted outcomes" in text
    assert "Gray's test" in text
    assert "Negative controls" not in methods_of(endpoint())


def test_methods_of_a_plain_column_do_not_mention_deaths_or_weights():
    text = methods_of(endpoint(horizon=None))
    assert "Kaplan" not in text
    assert "Deaths" not in text


def test_methods_of_both_rules_of_deaths_say_so():
    assert "except for endpoints" in methods_of(endpoint(), endpoint(deaths="exclude"))


def test_shown_number_has_three_digits_and_a_sign_where_it_is_a_difference():
    assert Shown(0.7, 0.65, 0.751).interval == "0.650 to 0.751"
    assert Shown(-0.02, -0.1, 0.05).signed_interval == "−0.100 to +0.050"
    assert Shown(None, why="no events").text == "not estimable"
    assert Shown(-0.0001, -0.0004, 0.01).signed == "0.000"
    assert Shown(-0.067, -0.1, 0.02).text == "−0.067"


@pytest.mark.parametrize(
    ("feature_set", "name"),
    [
        ("clinical+deep", "Clinical + deep features"),
        ("volume", "Tumour volume"),
        ("clinical:staging", "Clinical set “staging”"),
        ("clinical:staging+deep", "Clinical set “staging” + deep features"),
    ],
)
def test_feature_set_names_are_words(feature_set, name):
    assert feature_set_name(feature_set) == name


def test_feature_sets_are_ordered_from_single_modalities_to_controls():
    feature_sets = ["volume", "clinical:staging", "radiomics+deep", "deep", "clinical", "clinical+radiomics+deep"]
    assert sorted(feature_sets, key=feature_set_order) == [
        "clinical", "deep", "radiomics+deep", "clinical+radiomics+deep", "volume", "clinical:staging",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("horizon", "text"),
    [
        (730.5, "2 years (730.5 days)"),
        (365.0, "1 year (365 days)"),
        (1826.0, "5 years (1826 days)"),
        (200.0, "200 days"),
    ],
)
def test_days_are_years_where_round(horizon, text):
    assert days(horizon) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.34, "2.3 s"), (42, "42 s"), (65, "1 min 05 s"), (8040, "2 h 14 min"), (59.9, "60 s")]
)
def test_seconds_in_words(value, text):
    assert seconds(value) == text


def test_counts_and_lists_read_as_english():
    assert [count(1, "patient"), count(1497, "patient"), count(2, "entry", "entries")] == [
        "1 patient", "1,497 patients", "2 entries",
    ]  # fmt: skip
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["none", "a", "a, b and c"]


def test_paper_numbers_belong_to_deep_alone_and_to_a_fusion_with_deep():
    assert published("deep", PRIMARY) == {"auc": 0.715}
    assert published("clinical+deep", "clinical+deep")["spe"] == 0.758
    assert published(PRIMARY, PRIMARY) == {}


def test_times_sum_jobs_of_a_stage_longest_first(tmp_path):
    header = "s\th:m:s\tmax_rss\n"
    write_text(tmp_path / "images/P1.tsv", header + "10\t0:00:10\t100\n")
    write_text(tmp_path / "images/P2.tsv", header + "5\t0:00:05\t300\n")
    write_text(tmp_path / "deep/dm/as-is/r0/swin/without-0.tsv", header + "100\t0:01:40\t-\n")
    table = times(tmp_path)
    assert table["stage"].tolist() == ["deep", "images"]
    assert table.set_index("stage").loc["images"].tolist() == [2, 15, 10, 300]


def test_times_without_a_folder_are_empty(tmp_path):
    assert len(times(tmp_path / "none")) == 0


def test_settings_hash_does_not_depend_on_the_location_of_files():
    def config(root, seed):
        data = {"root": root, "source": "clinical"}
        return {"seed": seed, "data": data, "output": {"results": root}, "clinical": {"table": root, "id": "p"}}

    assert settings_hash(portable(config("/a", 1))) == settings_hash(portable(config("/b", 1)))
    assert settings_hash(portable(config("/a", 1))) != settings_hash(portable(config("/a", 2)))


def test_facts_name_versions_and_cores_and_not_the_machine():
    import platform

    assert versions()["Python"] == platform.python_version()
    assert "metaswin" in versions()
    assert int(machine()["CPU cores"]) >= 1
    assert platform.node() not in machine().values()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.0123"), (5.97, "5.97"), (13.94, "13.9"), (1418.0, "1,418"), (-0.5, "−0.500"), (0, "0")],
)
def test_measured_values_have_three_digits(value, text):
    assert plain(value) == text


def test_small_p_values_are_not_zero():
    assert [p_text(0.0004), p_text(0.04)] == ["< 0.001", "0.040"]
