"""A patient who joins later and is excluded: what the others have stays as it is."""

import re
import shutil

import damage
import pandas as pd
import pytest

pytestmark = pytest.mark.long
NEWCOMER = "SIM-0009"


def done(run):
    """Rules of the jobs that ended, one entry a job."""
    return re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", run.text)


@pytest.fixture(scope="module")
def joined(snakemake, small, tmp_path_factory):
    """Eight patients to their networks; then a ninth, whose tumour is too small: both runs and the networks between."""
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    folder = tmp_path_factory.mktemp("newcomer")
    simulate_cohort(folder / "data", SimulationOptions(n=9, seed=11, matrix=64, coverage=96, draws=2000), jobs=2)
    files = damage.files_of(folder / "data/dicom")[NEWCOMER]
    damage.edit_structures({"RTSTRUCT": files["RTSTRUCT"]}, damage.shrink_lesions(0.08))

    def label(table: pd.DataFrame) -> pd.DataFrame:
        table["dm"] = [str(i % 2) for i in range(len(table))]
        return table

    damage.edit_table(folder / "data/clinical.csv", label)
    own = files["CT"][0]
    while own.parent != folder / "data/dicom":
        own = own.parent
    shutil.move(own, folder / "away")
    targets = ["--", "radiomics", "stability", "deep"]
    first = snakemake(folder, small, *targets)
    assert first.code == 0, first.text[-5000:]
    networks = {path: path.read_bytes() for path in (folder / "results/models").rglob("deep/**/*.*")}
    shutil.move(folder / "away", own)
    second = snakemake(folder, small, *targets)
    assert second.code == 0, second.text[-5000:]
    return second, networks


def test_newcomer_when_excluded_then_only_its_own_jobs_run_and_it_is_in_no_table(joined):
    run, _ = joined
    jobs = done(run)
    for rule in ("convert_images", "segment_organs", "make_regions", "extract_radiomics", "make_patches"):
        assert jobs.count(rule) == 1, rule
    excluded = run.table("cohort/exclusions.parquet").set_index("patient").loc[[NEWCOMER], "code"]
    assert {"tumor-too-small", "empty-mask"} & set(excluded)
    assert NEWCOMER in set(run.table("cohort/patients.parquet")["patient"])
    assert NEWCOMER in set(run.table("cohort/outcomes.parquet")["patient"])
    for table in ("cohort/used", "features/radiomics", "folds/dm"):
        assert run.table(f"{table}.parquet")["patient"].nunique() == 8, table
        assert NEWCOMER not in set(run.table(f"{table}.parquet")["patient"])


def test_newcomer_when_excluded_then_no_network_is_trained_again(joined):
    run, networks = joined
    trained = [path for path in networks if path.suffix in (".safetensors", ".json")]
    assert len(trained) >= 6
    assert all(path.read_bytes() == networks[path] for path in trained)
    logs = list((run.folder / "logs/train_deep").rglob("*.log"))
    assert "train_deep" not in done(run) or all("it is kept" in log.read_text() for log in logs)


def test_stop_when_an_image_stage_excludes_a_patient_then_run_ends_before_radiomics(joined, snakemake, small):
    run = snakemake(joined[0].folder, {**small, "qc": {"on_problem": "stop"}}, "radiomics")
    assert run.code == 1
    assert f"]: {NEWCOMER}: found " in run.text
    assert not set(done(run)) & {"convert_images", "extract_radiomics"}
    assert not set(done(snakemake(joined[0].folder, small, "radiomics"))) & {"convert_images", "extract_radiomics"}
