"""Reading the clinical table."""

import pytest
from pydantic import ValidationError

from metaswin.cohort.clinical_table import apply_cohort, matches, missing_column, normal, read_clinical, read_header
from metaswin.cohort.predictors import predictors
from metaswin.config.cohort import ClinicalSettings, CohortSettings
from metaswin.core.errors import UserError


def write(tmp_path, text, name="clinical.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_table_when_header_has_blanks_and_bom_then_names_and_values_are_trimmed(tmp_path):
    path = write(tmp_path, "\ufeffpatient_id,M ,site\nB2, M0 ,Larynx\nA1,M1,\n")
    table = read_clinical(path, ClinicalSettings()).table
    assert list(table.index) == ["A1", "B2"]
    assert list(table.columns) == ["M", "site"]
    assert table.at["B2", "M"] == "M0"
    assert table.at["A1", "site"] is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_when_delimiter_varies_then_it_is_found(tmp_path, delimiter):
    path = write(tmp_path, delimiter.join(["patient_id", "age"]) + "\n" + delimiter.join(["A", "61"]) + "\n")
    assert read_clinical(path, ClinicalSettings()).table.at["A", "age"] == "61"


def test_table_when_rows_end_with_separators_or_lack_values_then_no_column_shifts(tmp_path):
    path = write(tmp_path, "age,sex,patient_id,,\n50,m,A,\n60,,B,,,\n,,,,\n70\n")
    clinical = read_clinical(path, ClinicalSettings())
    assert clinical.table.to_dict("index") == {"A": {"age": "50", "sex": "m"}, "B": {"age": "60", "sex": None}}
    assert [(problem.code, problem.found) for problem in clinical.problems] == [("no-id", "1 rows without an id")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient_id,age\nA,50\nB,oral cavity, left\n", "2 columns, but more values in line 3"),
        ('patient_id,site\nA,"oral\nB,larynx\n', "is not a valid CSV file in or before line 3"),
    ],
)
def test_table_when_a_row_cannot_be_split_into_columns_then_its_line_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_clinical(write(tmp_path, text), ClinicalSettings())


def test_table_when_a_late_character_is_not_utf8_then_the_remedy_is_given(tmp_path):
    path = tmp_path / "clinical.csv"
    path.write_bytes(b"patient_id,site\n" + b"A,larynx\n" * 20_000 + "B,Mundhöhle\n".encode("cp1252"))
    read_header(path)
    with pytest.raises(UserError, match=r"save it as CSV \(UTF-8\)"):
        read_clinical(path, ClinicalSettings())


def test_table_when_ids_have_leading_zeros_then_they_are_kept(tmp_path):
    path = write(tmp_path, "patient_id,age\n001,5\n1,6\n")
    assert list(read_clinical(path, ClinicalSettings()).table.index) == ["001", "1"]


def test_duplicates_when_rows_differ_then_the_patient_is_excluded_else_kept(tmp_path):
    path = write(tmp_path, "patient_id,age\nA,1\nA,2\nB,3\nB,3\n")
    clinical = read_clinical(path, ClinicalSettings())
    assert list(clinical.table.index) == ["B"]
    assert [(p.patient, p.code, p.excludes) for p in clinical.problems] == [("A", "duplicated-id", True)]


def test_table_when_id_column_is_absent_then_the_message_lists_the_columns(tmp_path):
    path = write(tmp_path, "pid,age\nA,1\n")
    with pytest.raises(UserError, match="has no column 'patient_id'; it has pid, age"):
        read_clinical(path, ClinicalSettings())


def test_header_when_file_is_absent_or_empty_then_the_setting_is_named(tmp_path):
    with pytest.raises(UserError, match=r"clinical\.table: no file"):
        read_header(tmp_path / "nothing.csv")
    with pytest.raises(UserError, match="is empty"):
        read_header(write(tmp_path, ""))


def read(path, **columns):
    return read_clinical(path, ClinicalSettings(columns=columns)).table


def test_table_when_columns_have_other_names_in_the_file_then_they_get_our_names(tmp_path):
    path = write(tmp_path, "patient_id;T stage ;site;note\nA;T2;Larynx;x\n")
    table = read(path, t_stage={"role": "baseline", "column": "T stage"}, site={"role": "baseline"})
    assert table.to_dict("index") == {"A": {"t_stage": "T2", "site": "Larynx", "note": "x"}}


def test_table_when_our_name_is_that_of_another_column_then_that_one_is_not_read(tmp_path):
    path = write(tmp_path, "patient_id,site,tumour\nA,Montreal,Larynx\n")
    assert read(path, site={"role": "baseline", "column": "tumour"}).to_dict("index") == {"A": {"site": "Larynx"}}
    swapped = {"site": {"role": "baseline", "column": "tumour"}, "tumour": {"role": "ignore", "column": "site"}}
    assert read(path, **swapped).to_dict("index") == {"A": {"tumour": "Montreal", "site": "Larynx"}}


def test_table_when_values_are_spelt_otherwise_then_map_is_enough(tmp_path):
    path = write(tmp_path, "patient_id,sex,hpv,t\nA,M,+,T1\nB,m,-,Tx\nC,F,N/A,T4a\n")
    sex = {"role": "baseline", "map": {"M": "Male", "F": "Female"}}
    hpv = {"role": "baseline", "map": {"+": "positive", "-": "negative"}}
    table = read(path, sex=sex, hpv=hpv, t={"role": "baseline", "map": {"Tx": ""}})
    assert table["sex"].tolist() == ["Male", "Male", "Female"]
    assert table["hpv"].tolist() == ["positive", "negative", None]
    assert table["t"].tolist() == ["T1", None, "T4a"]


def test_table_when_a_column_has_a_factor_then_numbers_change_and_texts_stay(tmp_path):
    path = write(tmp_path, "patient_id,vol\nA,29719.06836\nB,\nC,unknown\nD,12\n")
    volume = {"role": "baseline", "factor": 0.001}
    assert read(path, vol=volume)["vol"].tolist() == ["29.71906836", None, "unknown", "0.012"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": {"role": "baseline", "column": "dm"}, "dm": {"role": "outcome"}}, "a and dm both read the column 'dm'"),
        ({"a": {"role": "baseline", "column": "patient_id"}}, "columns.a.column: the column with the study id"),
    ],
)
def test_settings_when_a_column_would_be_read_twice_then_an_error(columns, message):
    """An outcome under a second name could predict itself."""
    with pytest.raises(ValidationError, match=message):
        ClinicalSettings(columns=columns)


def test_missing_column_when_the_table_lacks_it_then_the_message_names_setting_and_nearest():
    columns = {"t": {"role": "baseline", "column": "Tstge"}, "age": {"role": "baseline"}}
    settings = ClinicalSettings(table="c.csv", columns=columns)
    header = ["patient_id", "tstage", "Age", "n"]
    assert missing_column(settings, "n", header, "here") is None
    assert missing_column(settings, "t", header, "here") == (
        "clinical.columns.t.column: c.csv has no column 'Tstge'; did you mean 'tstage'?"
    )
    assert missing_column(settings, "age", header, "clinical.columns") == (
        "clinical.columns: c.csv has no column 'age'; did you mean 'Age'? If it has another name there, set "
        "clinical.columns.age.column"
    )
    renamed = ClinicalSettings(columns={"t": {"role": "baseline", "column": "tstage"}})
    assert missing_column(renamed, "tstage", header, "endpoints.dm") == (
        "endpoints.dm: column 'tstage' is read as 't' (clinical.columns.t.column); write 't' here"
    )


def test_predictors_when_values_are_invalid_then_they_are_missing_and_reported(tmp_path):
    path = write(tmp_path, "patient_id,age,sex,dm\nA,600,Male,1\nB,sixty,Female,0\nC,61,male,0\n")
    columns = {"age": {"role": "baseline", "kind": "numeric", "range": [0, 120]}, "sex": "baseline", "dm": "outcome"}
    settings = ClinicalSettings(columns=columns)
    table, kinds, problems = predictors(read_clinical(path, settings), settings)
    assert kinds == {"age": "numeric", "sex": "category"}
    assert list(table.columns) == ["age", "sex"]
    assert table["age"].isna().tolist() == [True, True, False]
    assert {(p.patient, p.code) for p in problems} == {("A", "out-of-range"), ("B", "not-a-number")}


def odd(tmp_path, cells, **column):
    """Values of a numeric or category column as read, and its problems."""
    rows = "\n".join(f"P{number},{value}" for number, value in enumerate(cells))
    path = write(tmp_path, f"patient_id,x\n{rows}\n")
    settings = ClinicalSettings(columns={"x": {"role": "baseline", **column}})
    table, _, problems = predictors(read_clinical(path, settings), settings)
    return table.loc[[f"P{number}" for number in range(len(cells))], "x"], problems


@pytest.mark.parametrize(("factor", "unit"), [(12, "months"), (365.25, "days"), (10, "tenths of the unit")])
def test_predictors_when_a_column_is_in_another_unit_then_one_warning_names_it(tmp_path, factor, unit):
    years = [40, 52, 61, 66, 70, 75]
    values, problems = odd(tmp_path, [year * factor for year in years], range=[18, 90])
    assert values.isna().all()
    [problem] = problems
    assert (problem.code, problem.patient, problem.excludes) == ("units-off", "", False)
    assert f"{unit} (divided by {factor:g})" in problem.action


def test_predictors_when_a_value_is_far_from_all_others_then_reported_and_kept(tmp_path):
    values, problems = odd(tmp_path, [*range(50, 70), 600])
    assert [(p.patient, p.code, p.found) for p in problems] == [("P20", "far-from-others", "x = 600")]
    assert values.iloc[-1] == 600
    assert odd(tmp_path, [0] * 10 + [20, 40, 60, 90, 150, 300])[1] == []  # skewed, as pack-years are


def test_predictors_when_a_category_is_unknown_then_missing_with_the_nearest(tmp_path):
    values, problems = odd(tmp_path, ["Larynx", " larynx", "Larinx", ""], values=["Larynx", "Oropharynx"])
    assert values.isna().tolist() == [False, False, True, True]
    [problem] = problems
    assert (problem.patient, problem.code) == ("P2", "unknown-category")
    assert "did you mean 'Larynx'?" in problem.action
    assert "Larinx" not in str(problem)
    assert problem.private == "x = Larinx"


@pytest.mark.parametrize("name", ["recurrence_site", "DM", "last contact", "vital-status", "OS", "time_to_death"])
def test_predictors_when_a_name_refers_to_the_outcome_then_reported(tmp_path, name):
    path = write(tmp_path, f"patient_id,{name}\nA,1\nB,2\n")
    for role, expected in (("baseline", ["post-baseline-name"]), ("treatment", [])):
        settings = ClinicalSettings(columns={name: role})
        assert [p.code for p in predictors(read_clinical(path, settings), settings)[2]] == expected


@pytest.mark.parametrize("name", ["m_stage", "dose", "smoking_status", "cost", "osteoporosis"])
def test_predictors_when_a_name_only_contains_such_letters_then_no_warning(tmp_path, name):
    path = write(tmp_path, f"patient_id,{name}\nA,1\nB,2\n")
    settings = ClinicalSettings(columns={name: "baseline"})
    assert predictors(read_clinical(path, settings), settings)[2] == []


def test_map_when_given_then_raw_values_are_replaced_before_use(tmp_path):
    path = write(tmp_path, "patient_id,ecog\nA,ECOG-Pt 0\nB,ECOG 1\n")
    settings = ClinicalSettings(columns={"ecog": {"role": "baseline", "map": {"ecog-pt 0": "ECOG 0"}}})
    assert read_clinical(path, settings).table["ecog"].tolist() == ["ECOG 0", "ECOG 1"]


def test_matches_when_case_blanks_and_number_format_differ_then_values_are_equal():
    assert matches([" Yes", "no", None, "1.0", 1], ["yes", 1]) == [True, False, False, True, True]
    assert normal(float("nan")) is None


def test_cohort_when_filters_apply_then_each_excluded_patient_has_one_code(tmp_path):
    path = write(tmp_path, "patient_id,M,site\nA,M1,Skin\nB,M0,skin\nC,M0,Larynx\nD,,Oral\n")
    clinical = read_clinical(path, ClinicalSettings())
    settings = CohortSettings(
        baseline_metastasis={"M": ["M1"]}, exclude={"site": ["Skin"]}, include={"site": ["larynx", "skin"]}
    )
    stay, problems = apply_cohort(clinical, settings)
    assert stay == ["C"]
    assert [(p.patient, p.code) for p in problems] == [
        ("A", "baseline-metastasis"),
        ("B", "excluded-by-config"),
        ("D", "not-included"),
    ]
