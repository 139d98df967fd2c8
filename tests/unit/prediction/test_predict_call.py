"""What a user reads before anything long runs; and the configuration that new patients go through."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from bundle_run import KINDS, fitted, freeze_run

from metaswin.cli import main
from metaswin.cohort.clinical_table import read_clinical, read_header
from metaswin.cohort.outcomes import outcome
from metaswin.config.cohort import ClinicalSettings
from metaswin.config.load import load
from metaswin.config.model import Config
from metaswin.config.read import read_config
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, write_json, write_table
from metaswin.prediction.bundle import write_manifest
from metaswin.prediction.call import TABLE, check_table, clinical_of, merged, outcome_settings, prediction_config
from metaswin.prediction.cli import summary_of
from metaswin.prediction.new_data import ClinicalInputs, prepare_clinical
from metaswin.prediction.patients import not_predicted, prediction_table
from metaswin.running.input_files import check_files


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    return freeze_run(fitted(folder), folder)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("patient_id,age,sex\nN1,61,F\nN2,55,m\n")
    return path


@pytest.fixture
def features(tmp_path):
    path = tmp_path / "features.csv"
    path.write_text("patient_id,original_shape_VoxelVolume\nN1,5\n")
    return path


def called(capsys, *arguments):
    """Exit status and message of `metaswin predict`."""
    code = main(["predict", *map(str, arguments)])
    return code, capsys.readouterr().err


def test_call_when_everything_is_wrong_then_all_errors_are_reported(frozen, tmp_path, capsys):
    copy = tmp_path / "bundle"
    shutil.copytree(frozen.bundle, copy)
    facts = read_json(copy / "bundle.json")
    write_json(copy / "bundle.json", facts | {"metaswin": "0.0.1"})
    write_manifest(copy)
    (tmp_path / "bad.csv").write_text("patient_id,Age\nN1,61\n")
    arguments = ["--bundle", copy, "--input", tmp_path / "nowhere", "--clinical", tmp_path / "bad.csv"]
    code, text = called(capsys, *arguments, "--member", "7,7", "--output", tmp_path / "out")
    assert code == 1
    for words in (
        "made by metaswin 0.0.1",
        "--member 7,7: the bundle has 1,0",
        "no folder or file",
        "no column 'age'",
        "no column 'sex'",
        "--lenient",
    ):
        assert words in text
    assert "Traceback" not in text
    assert not (tmp_path / "out/predict.yaml").exists()


def test_call_when_a_category_is_unknown_then_counted_and_the_nearest_is_suggested(frozen, tmp_path, capsys, features):
    (tmp_path / "new.csv").write_text("patient_id,age,sex\nN1,61,f \nN2,61,mm\nN3,50,mm\nN4,50,\n")
    code, text = called(
        capsys,
        "--bundle",
        frozen.bundle,
        "--input",
        features,
        "--clinical",
        tmp_path / "new.csv",
        "--output",
        tmp_path / "o",
    )
    assert code == 1
    assert "column sex: 'mm' in 2 rows is not a category that the models know; did you mean 'm'?" in text
    assert "'f'" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bundle", "nowhere"], "no folder or zip nowhere"),
        (["--bundle", "."], "has no manifest.json"),
    ],
)
def test_call_when_there_is_no_bundle_then_it_says_what_to_give(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, text = called(capsys, *arguments, "--output", tmp_path / "out")
    assert code == 1
    assert words in text


def test_call_when_no_patients_are_given_then_it_says_so(frozen, tmp_path, capsys):
    code, text = called(capsys, "--bundle", frozen.bundle, "--output", tmp_path / "out")
    assert code == 1
    assert "there are no patients to predict" in text
    (tmp_path / "none.csv").write_text("patient_id,age,sex\n")
    _, text = called(
        capsys, "--bundle", frozen.bundle, "--clinical", tmp_path / "none.csv", "--output", tmp_path / "out"
    )
    assert "has no row" in text


def test_config_when_derived_then_it_is_valid_has_no_outcome_and_keeps_the_order(frozen, table, features):
    config = prediction_config(frozen.read(), features, table, ["patient_id", "age", "sex"])
    assert set(config["clinical"]["columns"]) == {"age", "sex"}
    assert {name: column["kind"] for name, column in config["clinical"]["columns"].items()} == {
        name: KINDS[name] for name in ("age", "sex")
    }
    assert (
        list(config["patches"]["organ_groups"]) == ["bone", "air", "zinc"]
        or "zinc" in config["patches"]["organ_groups"]
    )
    loaded = load(config, check_files)
    assert (loaded.data.source, loaded.clinical.table, loaded.endpoints) == ("features", TABLE, {})


def test_config_when_no_data_are_given_then_the_clinical_table_alone_is_read(frozen, table):
    loaded = load(prediction_config(frozen.read(), None, table, ["patient_id", "age", "sex"]), check_files)
    assert loaded.data.source == "clinical"


def test_settings_when_they_belong_to_the_models_then_all_are_refused(frozen):
    with pytest.raises(UserError) as caught:
        merged(frozen.read().config, {"regions": {"spacing": 2.0}, "deep": {"device": "cpu", "epochs": 3}})
    assert "regions.spacing" in str(caught.value)
    assert "deep.epochs" in str(caught.value)
    assert "deep.device\n" not in str(caught.value)


def test_settings_when_local_then_they_override_those_of_the_bundle(frozen):
    own = {"ingest": {"rois": {"primary": ["mine"]}}, "clinical": {"columns": {"sex": {"map": {"1": "m"}}}}}
    config = merged(frozen.read().config, own)
    assert config["ingest"]["rois"]["primary"] == ["mine"]
    assert config["ingest"]["rois"]["nodes"]
    sex = config["clinical"]["columns"]["sex"]
    assert (sex["role"], sex["kind"], sex["map"]) == ("baseline", "category", {"1": "m"})


def renamed(config, **columns):
    """The bundle's configuration, trained on a table with other names of columns."""
    known = {name: {**column, **columns.get(name, {})} for name, column in config["clinical"]["columns"].items()}
    return {**config, "clinical": {**config["clinical"], "columns": known}}


def test_columns_when_the_table_has_other_names_then_settings_name_them(frozen, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("Fall;Alter;Geschlecht;n stage\nN1;61;w;N1\n")
    own = {"id": "Fall", "columns": {"age": {"column": "Alter"}, "sex": {"column": "Geschlecht", "map": {"w": "f"}}}}
    bundle, header = frozen.read(), ["Fall", "Alter", "Geschlecht", "n stage"]
    clinical = clinical_of(bundle.config, {"clinical": own}, header)
    assert check_table(bundle, tmp_path / "new.csv", clinical, lenient=False) == []
    config = prediction_config(bundle, None, tmp_path / "new.csv", header, local={"clinical": own})
    settings = load(config, check_files).clinical
    prepare_clinical(ClinicalInputs(str(tmp_path / "new.csv")), str(tmp_path / "out.csv"), settings, [])
    read = read_clinical(tmp_path / "out.csv", settings).table
    assert read.loc["N1", ["age", "sex"]].to_dict() == {"age": "61", "sex": "f"}


def test_columns_when_renamed_in_training_then_both_names_are_read_unless_set_locally(frozen):
    config = renamed(frozen.read().config, age={"column": "Age at diagnosis"})

    def source(header, own=None):
        local = {"clinical": {"columns": {"age": own}}} if own else {}
        return clinical_of(config, local, header)["columns"]["age"]["column"]

    assert source(["patient_id", "Age at diagnosis"]) == "Age at diagnosis"
    assert source(["patient_id", "age"]) is None
    assert source(["patient_id", "age"], {"column": "alter"}) == "alter"


def test_columns_that_local_settings_read_as_outcome_are_not_hidden_by_the_training_name(frozen):
    config = frozen.read().config
    dm = {"role": "outcome", "column": "Distant"}
    config = {**config, "clinical": {**config["clinical"], "columns": {**config["clinical"]["columns"], "dm": dm}}}
    header = ["patient_id", "age", "Distant", "days"]
    assert clinical_of(config, {}, header)["columns"]["dm"]["column"] == "Distant"
    own = {"endpoints": {"dm": {"followup": "days", "event": {"column": "Distant", "time": "days"}}}}
    assert "dm" not in clinical_of(config, own, header)["columns"]


def test_columns_when_an_outcome_is_a_predictor_then_it_stops(frozen):
    own = {"clinical": {"columns": {"age": {"column": "X"}}}, "endpoints": {"dm": {"column": "X"}}}
    with pytest.raises(UserError, match=r"clinical\.columns\.age reads 'X', which is an outcome in endpoints"):
        clinical_of(frozen.read().config, own, ["patient_id", "X"])


def test_columns_when_a_role_alone_is_given_then_the_rest_stays(frozen):
    config = frozen.read().config
    assert (
        clinical_of(config, {"clinical": {"columns": {"sex": "baseline"}}}, [])["columns"]["sex"]["kind"] == "category"
    )


def test_columns_when_the_settings_name_none_of_the_bundle_then_the_nearest_is_suggested(frozen):
    with pytest.raises(UserError, match=r"clinical\.columns\.Age: not in the bundle; did you mean 'age'\?"):
        clinical_of(frozen.read().config, {"clinical": {"columns": {"Age": {"column": "alter"}}}}, [])
    with pytest.raises(UserError, match=r"unknown key clinical\.columns\.age\.colum; did you mean 'column'\?"):
        clinical_of(frozen.read().config, {"clinical": {"columns": {"age": {"colum": "alter"}}}}, [])


def test_columns_when_the_table_lacks_one_then_the_message_says_how_to_name_it(frozen, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("patient_id,Age,sex\nN1,61,F\n")
    code, text = called(
        capsys, "--bundle", frozen.bundle, "--clinical", tmp_path / "new.csv", "--output", tmp_path / "o"
    )
    assert code == 1
    for words in ("no column 'age'; did you mean 'Age'?", "clinical.columns.age.column", "file given with --settings"):
        assert words in text


def test_columns_when_the_cohort_reads_one_then_it_keeps_its_name_and_cannot_predict(frozen, table):
    config = frozen.read().config
    columns = {**config["clinical"]["columns"], "m": {"role": "baseline"}}
    bundle = replace(frozen.read())
    bundle.config.update(clinical={**config["clinical"], "columns": columns}, cohort={"exclude": {"m": ["M1"]}})
    local = {"clinical": {"columns": {"m": {"column": "mstage", "map": {"1": "M1"}}}}}
    made = prediction_config(bundle, None, table, ["patient_id", "age", "sex", "mstage"], local=local)
    assert made["cohort"] == {"exclude": {"m": ["M1"]}}
    m = made["clinical"]["columns"]["m"]
    assert (m["role"], m["column"], m["map"]) == ("ignore", "mstage", {"1": "M1"})


@pytest.mark.shared
def test_columns_when_the_table_is_head_neck_pet_ct_then_it_is_read_as_published(shared_data, repository):
    """`;`, days from the diagnosis, one sex in lower case, HPV as + and -, two events without a day."""
    raw = read_config(repository / "config/examples/radcure-staging.yaml")
    training = Config.model_validate(raw).model_dump(mode="json")
    local = read_config(repository / "config/examples/hn-pet-ct.yaml")
    path = shared_data / "hn-pet-ct/clinical.csv"
    settings = ClinicalSettings(**{**clinical_of(training, local, read_header(path)), "table": str(path)})
    table = read_clinical(path, settings).table
    assert table["sex"].value_counts().to_dict() == {"Male": 227, "Female": 71}
    assert table["hpv"].value_counts(dropna=False).to_dict() == {None: 174, "positive": 78, "negative": 46}
    assert set(table["m_stage"]) == {"M0", "Mx"}
    found = outcome_settings(training["endpoints"], local)
    for name, events in (("dm_2y", 27), ("dm_5y", 38)):
        result = outcome(table, name, found[name], settings)
        assert (result.table["label"] == 1).sum() == events
        assert [problem.code for problem in result.problems] == ["event-without-time"] * 2


WITHIN = {
    "horizon_days": 730.5, "start": "start", "followup": "last", "deaths": "nonevent",
    "event": {"column": "dm", "date": "dm_date"},
}  # fmt: skip


def test_outcomes_in_local_days_replace_all_settings_except_the_horizon():
    own = {"followup": "days", "event": {"column": "dm", "time": "dm_days"}}
    found = outcome_settings({"dm": WITHIN}, {"endpoints": {"dm": own}})["dm"]
    assert (found.start, found.followup, found.event.time, found.event.date) == (None, "days", "dm_days", None)
    assert (found.horizon_days, found.deaths) == (730.5, "nonevent")
    assert outcome_settings({"dm": WITHIN}, {})["dm"].start == "start"


def test_outcomes_when_an_endpoint_is_null_then_it_is_excluded():
    assert list(outcome_settings({"a": WITHIN, "b": WITHIN}, {"endpoints": {"b": None}})) == ["a"]
    with pytest.raises(UserError, match="nothing is left to validate"):
        outcome_settings({"a": WITHIN}, {"endpoints": {"a": None}})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"dn": {"column": "x"}}, "endpoints.dn: no such endpoint in the bundle; known: dm"),
        ({"dm": {"column": "x", "horizon_days": 365}}, "365, but the models were trained for 730.5; delete this line"),
        ({"dm": {"followup": "x", "event": {"colum": "y"}}}, "unknown key endpoints.dm.event.colum; did you mean"),
        ({"dm": {}}, "endpoints.dm: give either `column`"),
        ({"dm": "days"}, "endpoints.dm: found 'days'; expected a section that names columns, or null"),
        (["dm"], "endpoints: found list; expected a section for each endpoint"),
    ],
)
def test_outcomes_when_the_section_has_an_error_then_it_says_what_to_do(own, message):
    with pytest.raises(UserError) as caught:
        outcome_settings({"dm": WITHIN}, {"endpoints": own})
    assert message in str(caught.value)


def test_table_when_prepared_then_every_patient_has_a_row_and_values_stay_as_written(tmp_path, features):
    # A separator at a row's end, and a row without any value.
    (tmp_path / "new.csv").write_text('patient_id;age;note\nN2; 61,5 ;"a;b";\n;;\n')
    settings = ClinicalSettings(columns={"age": "baseline", "sex": "baseline"})
    inputs = ClinicalInputs(clinical=str(tmp_path / "new.csv"), features=str(features))
    prepare_clinical(inputs, str(tmp_path / "out.csv"), settings, ["stage"])
    found = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert found.columns.tolist() == ["patient_id", "age", "note", "sex", "stage"]
    assert found.to_numpy().tolist() == [["N2", "61,5", "a;b", "", ""], ["N1", "", "", "", ""]]


def test_table_when_pseudonyms_are_in_the_index_then_it_contains_the_ids_once(tmp_path):
    (tmp_path / "new.csv").write_text("patient_id,age\nN1,60\n")
    index = pd.DataFrame({"patient": ["P-1", "P-2", "P-3", ""], "usable": [True, True, False, True]})
    write_table(tmp_path / "index.parquet", index)
    inputs = ClinicalInputs(clinical=str(tmp_path / "new.csv"), index=str(tmp_path / "index.parquet"))
    names = {"P-1": "N1", "P-2": "N2"}
    prepare_clinical(inputs, str(tmp_path / "out.csv"), ClinicalSettings(), [], names)
    assert pd.read_csv(tmp_path / "out.csv")["patient_id"].tolist() == ["N1", "N2"]


def test_output_that_contains_another_runs_results_is_not_changed(tmp_path, frozen, table, capsys):
    (tmp_path / "run/results/bundle").mkdir(parents=True)
    arguments = ["--bundle", frozen.bundle, "--clinical", table]
    code, text = called(capsys, *arguments, "--output", tmp_path / "run")
    assert (code, "contains the results of another run" in text) == (1, True)
    assert [path.name for path in (tmp_path / "run").rglob("*")] == ["results", "bundle"]


def test_message_about_patients_without_prediction_groups_them_by_reason(tmp_path):
    rows = [not_predicted("dm", name, why) for name, why in [("A", "no-image"), ("B", "no-image"), ("C", "no-ct")]]
    write_table(tmp_path / "results/predictions/predictions.parquet", prediction_table(rows))
    text = summary_of(tmp_path)
    assert "not predicted, dm: A, B: no-image" in text
    assert "not predicted, dm: C: no-ct" in text
    assert "not a medical device" in text
