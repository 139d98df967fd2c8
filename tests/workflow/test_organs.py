"""TotalSegmentator in the workflow: missing weights, batches that stay, exports that stay private."""

import itertools
import json
import shutil

import pytest
from planned import rules_to_run

from metaswin.imaging.weights import CHECKPOINT
from metaswin.simulate.weights import write_standin

GATE = "results/cohort/patients.parquet"  # who is planned
ORGANS = {
    "backend": "totalsegmentator",
    "totalsegmentator": {
        "tasks": ["total"],
        "structures": [],
        "fast": True,
        "device": "cpu",
        "threads": 1,
        "weights": "weights",
        "batch_size": 3,
    },
}


@pytest.fixture(scope="module")
def folder(cohort, tmp_path_factory):
    """The shared cohort's data beside stand-in weights."""
    folder = tmp_path_factory.mktemp("organs")
    shutil.copytree(cohort / "data", folder / "data")
    write_standin(folder / "weights", 297)
    return folder


def test_run_when_weights_are_missing_then_it_stops_before_the_first_image(snakemake, small, unread):
    organs = {"backend": "totalsegmentator", "totalsegmentator": {"weights": "nowhere"}}
    run = snakemake(unread, {**small, "organs": organs}, "-n", "--", "all")
    assert run.code != 0
    assert "9 of 9 models cannot be used" in run.text
    assert "nowhere" in run.text
    assert "metaswin weights fetch" in run.text
    assert "Traceback" not in run.text


def test_prepare_when_a_checkpoint_is_truncated_then_it_ends_with_the_remedy(snakemake, small, unread, tmp_path):
    (tmp_path / "data").symlink_to(unread / "data")
    model = write_standin(tmp_path / "weights", 297)
    checkpoint = model / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    run = snakemake(tmp_path, {**small, "organs": ORGANS}, "--", "prepare")
    assert run.code != 0
    assert f"{model.parent.name}: " in run.text
    assert "metaswin weights fetch" in run.text
    assert "Traceback" not in run.text
    assert not (tmp_path / "results/prepared/weights.json").exists()
    assert (tmp_path / "results/prepared/kernels.json").exists()


@pytest.mark.long
def test_run_when_a_patient_joins_then_only_its_batch_is_checked_and_no_other_redone(
    snakemake, without_network, small, folder
):
    config = {**small, "organs": ORGANS}
    assert snakemake(folder, config, GATE).code == 0
    sources = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "private/sources").glob("*.json"))}
    newcomer = "SIM-0005"
    hidden = (folder / sources[newcomer]["ct"][0]).parent
    while hidden.parent != folder / "data/dicom":
        hidden = hidden.parent
    shutil.move(hidden, folder / "hidden")
    run = snakemake(folder, config, "--", "regions", "anatomy", within=without_network)
    assert run.code == 0, run.text
    assert "weights.json" in {path.name for path in (folder / "results/prepared").iterdir()}
    kept = {path.name for path in (folder / "results/scratch/organs").iterdir()}
    assert len(kept) == len(sources) - 1
    facts = json.loads((folder / "results/organs/SIM-0001/organs.json").read_text())
    assert facts["labels"]["spleen"] == 6
    assert facts["labels"]["bone"] in facts["groups"]["bone"]
    assert facts["labels"]["skull"] in facts["groups"]["bone"]

    shutil.move(folder / "hidden", hidden)
    assert snakemake(folder, config, GATE).code == 0
    planned = rules_to_run(snakemake(folder, config, "-n", "--", "regions").text)
    new = {"convert_images": 1, "segment_organs": 1, "make_regions": 1}
    assert {name: planned.get(name) for name in new} == new
    assert planned["predict_organs"] <= 2
    run = snakemake(folder, config, "--", "regions", "anatomy")
    assert run.code == 0, run.text
    assert {path.name for path in (folder / "results/scratch/organs").iterdir()} > kept
    assert newcomer in set(run.table("features/anatomy.parquet")["patient"])

    run = snakemake(folder, config, "--", "export", "pictures")
    assert run.code == 0, run.text
    exported = sorted(path.relative_to(folder).parts[0] for path in folder.rglob("structures.dcm"))
    assert set(exported) == {"private"}
    assert len(exported) == len(sources)
    assert not list((folder / "results").rglob("*.dcm"))


def times_of(folder, rule):
    """Start and end of every job of a rule by start, from Snakemake's records of its outputs."""
    records = [json.loads(path.read_text()) for path in (folder / ".snakemake/metadata").rglob("*") if path.is_file()]
    of_jobs = {
        record["log"][0]: (record["starttime"], record["endtime"]) for record in records if record["rule"] == rule
    }
    return sorted(of_jobs.values())


@pytest.mark.long
def test_radiomics_when_organs_come_in_batches_then_they_begin_before_the_last_batch(
    snakemake, small, cohort, tmp_path
):
    """TotalSegmentator's own code as the only job of a pretended GPU; eight patients in batches of two."""
    shutil.copytree(cohort / "data", tmp_path / "data")
    write_standin(tmp_path / "weights", 297)
    organs = {**ORGANS, "totalsegmentator": {**ORGANS["totalsegmentator"], "batch_size": 2}}
    slot = ["--set-resources", "predict_organs:gpu=1", "--resources", "gpu=1"]
    run = snakemake(tmp_path, {**small, "organs": organs}, *slot, "--", "radiomics")
    assert run.code == 0, run.text[-5000:]
    batches, radiomics = times_of(tmp_path, "predict_organs"), times_of(tmp_path, "extract_radiomics")
    assert len(batches) >= 4
    assert len(radiomics) == 8
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(batches))
    assert radiomics[0][0] < batches[-1][1]
