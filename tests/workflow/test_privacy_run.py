"""From DICOM to the report with pseudonyms: neither what headers, paths and free columns say nor an id gets out."""

import re

import pandas as pd
import pytest
from damage import edit_structures, files_of, rename_lesions
from marked import MARKER, leaks, plant

from metaswin.cohort.pseudonyms import read_map
from metaswin.cohort.used import listing

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def finished(snakemake, small, tmp_path_factory):
    """Nine patients, the last with contours of other names; one row more in the clinical table."""
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    data = tmp_path_factory.mktemp("data") / f"{MARKER} hospital"
    simulate_cohort(data, SimulationOptions(n=9, seed=11, matrix=64, coverage=96, draws=1000, extra_series=0))
    edit_structures(files_of(data / "dicom")["SIM-0009"], rename_lesions)
    plant(data / "dicom", rename_ids=True)
    table = pd.read_csv(data / "clinical.csv", dtype=str)
    table["dm"] = [str(i % 2) for i in range(len(table))]
    table["patient_id"] = f"{MARKER} " + table["patient_id"]
    table["letter"] = f"{MARKER} writes"
    table["remark"] = f"{MARKER} remarks"
    table.loc[2, "age"] = f"{MARKER} years"
    more = table.iloc[:1].assign(patient_id=f"{MARKER} nobody")
    pd.concat([table, more]).to_csv(data / f"{MARKER}.csv", index=False)
    config = {
        **small,
        "data": {"source": "dicom", "dicom": str(data / "dicom"), "pseudonyms": True},
        "deep": {"enabled": False},
        "stability": {"enabled": False},
        "controls": {**small["controls"], "leaky": False, "shuffled": False},
    }
    columns = {**small["clinical"]["columns"], "remark": "ignore"}
    config["clinical"] = {**small["clinical"], "table": str(data / f"{MARKER}.csv"), "columns": columns}
    return snakemake(tmp_path_factory.mktemp("run"), config, "all")


def test_marker_when_planted_everywhere_then_no_artefact_log_or_report_contains_it(finished):
    assert finished.code == 0, finished.text[-5000:]
    assert (finished.folder / "results/report/report.html").exists()
    # The configuration under test names the data's folder, as a user's own file would.
    apart = ("private", ".snakemake", "config-under-test.yaml")
    assert leaks(finished.folder, [MARKER, "SIM-00"], apart) == []
    assert leaks(finished.folder, [MARKER], apart=())


def test_pseudonyms_when_on_then_they_name_all_patients_and_the_local_user_sees_both(finished):
    names = read_map(finished.folder / "private/pseudonyms.csv")
    assert set(names.values()) == {*(f"{MARKER} SIM-{i:04d}" for i in range(1, 10)), f"{MARKER} nobody"}
    used = finished.table("cohort/used.parquet")["patient"]
    assert {names[patient] for patient in used} == {f"{MARKER} SIM-{i:04d}" for i in range(1, 9)}
    assert used.map(lambda patient: bool(re.fullmatch(r"P-[0-9a-f]{12}", patient))).all()
    told = listing(finished.folder)
    assert f"= {MARKER} SIM-0009  ingest  no-matching-roi" in told
    assert f"= {MARKER} nobody  ingest  no-image" in told


def test_exclusions_when_pseudonyms_are_on_then_each_problem_has_its_pseudonym(finished):
    names = read_map(finished.folder / "private/pseudonyms.csv")
    problems = finished.table("cohort/exclusions.parquet")
    by_id = {(names.get(row.patient, row.patient), row.code) for row in problems.itertuples()}
    assert (f"{MARKER} SIM-0009", "no-matching-roi") in by_id
    assert (f"{MARKER} SIM-0003", "not-a-number") in by_id
