"""One bad patient planted at each stage: the report still appears and names each; nobody else is lost."""

import json

import damage
import pandas as pd
import pytest

pytestmark = pytest.mark.long

#            patient: (stage, code, excluded)
EXPECTED = {
    "SIM-0009": ("ingest", "no-matching-roi", True),
    "SIM-0010": ("ingest", "no-clinical-row", True),
    "SIM-0011": ("ingest", "missing-slices", True),
    "SIM-0012": ("images", "duplicate-slices", True),
    "SIM-0013": ("regions", "tumor-too-small", True),
    "SIM-0014": ("label:dm", "no-outcome", True),
    "SIM-0015": ("radiomics", "radiomics-failed", False),
}


@pytest.fixture(scope="module")
def finished(snakemake, small, tmp_path_factory):
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    folder = tmp_path_factory.mktemp("bad")
    options = SimulationOptions(n=15, seed=3, matrix=64, coverage=96, draws=2000, extra_series=0, unknown_primary=0)
    simulate_cohort(folder / "data", options, jobs=2)
    files = damage.files_of(folder / "data/dicom")
    damage.edit_structures(files["SIM-0009"], damage.rename_lesions)
    damage.remove_slices(files["SIM-0011"], 2)
    damage.repeat_slice(files["SIM-0012"])
    damage.edit_structures(files["SIM-0013"], damage.shrink_lesions(0.08))
    damage.edit_structures(files["SIM-0015"], damage.shrink_lesions(0.35))

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table["dm"] = [str(i % 2) for i in range(len(table))]
        table.loc[table["patient_id"] == "SIM-0014", "dm"] = ""
        return table[table["patient_id"] != "SIM-0010"]

    damage.edit_table(folder / "data/clinical.csv", edit)
    config = {**small, "radiomics": {**small["radiomics"], "min_voxels": 60}, "deep": {"enabled": False}}
    return snakemake(folder, config, "all")


def test_run_when_patients_have_faults_then_it_succeeds_and_keeps_the_others(finished):
    assert finished.code == 0, finished.text[-5000:]
    used = set(finished.table("cohort/used.parquet")["patient"])
    excluded = {patient for patient, (_, _, out) in EXPECTED.items() if out}
    assert used == {f"SIM-{i:04d}" for i in range(1, 16)} - excluded


@pytest.mark.parametrize("patient", EXPECTED)
def test_problem_when_planted_then_tables_and_report_name_it(finished, patient):
    stage, code, excludes = EXPECTED[patient]
    problems = pd.concat(
        [finished.table("cohort/exclusions.parquet"), finished.table("features/problems.parquet")], ignore_index=True
    )
    mine = problems[problems["patient"] == patient]
    row = mine[(mine["stage"] == stage) & (mine["code"] == code) & (mine["excludes"] == excludes)]
    assert len(row) == 1, mine.to_string()
    assert (row[["found", "expected", "action"]] != "").all(axis=None)
    html = (finished.folder / "results/report/report.html").read_text()
    assert patient in html
    assert code in html


def test_roi_names_when_unmatched_then_they_stay_private_and_the_command_prints_them(finished):
    from metaswin.cohort.used import listing

    public = [p for p in (finished.folder / "results").rglob("*") if p.suffix in {".json", ".html", ".csv"}]
    assert all("Smith" not in path.read_text() for path in public)
    assert all("Smith" not in path.read_text() for path in (finished.folder / "logs").rglob("*.log"))
    assert "Secret Smith lesion" in listing(finished.folder)


def test_excluded_volumes_when_written_then_they_are_empty_with_a_status(finished):
    folder = finished.folder / "results/images/SIM-0012"
    assert (folder / "ct.nii.gz").stat().st_size == 0
    assert json.loads((folder / "status.json").read_text())["status"] == "excluded"


def test_flow_when_counted_then_found_is_used_plus_excluded(finished):
    flow = json.loads((finished.folder / "results/cohort/flow.json").read_text())
    assert flow["found"] == flow["used"] + sum(flow["excluded"].values()) == 15
