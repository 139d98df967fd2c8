"""Whole cohorts on disk and the command line."""

import hashlib
import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pydicom
import pytest

from metaswin.cli import main
from metaswin.core.errors import UserError
from metaswin.simulate.clinical import INCOMPLETE
from metaswin.simulate.cohort import simulate_cohort
from metaswin.simulate.lesions import total_volume
from metaswin.simulate.options import PRESETS, preset_options
from metaswin.simulate.tables import VOLUME_FEATURE

SMALL = {"matrix": 48, "coverage": 90.0, "draws": 2_000}


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return simulate_cohort(tmp_path_factory.mktemp("serial"), preset_options("reference", n=4, **SMALL))


def test_parallel_and_serial_cohorts_are_byte_identical(cohort, tmp_path):
    parallel = simulate_cohort(tmp_path / "parallel", preset_options("reference", n=4, **SMALL), jobs=2)
    assert digests(parallel) == digests(cohort)


def test_patients_are_the_same_in_a_smaller_cohort(cohort, tmp_path):
    smaller = simulate_cohort(tmp_path / "smaller", preset_options("reference", n=2, **SMALL))
    larger = digests(cohort)
    images = {name: digest for name, digest in digests(smaller).items() if name.startswith("dicom/")}
    assert images
    assert images == {name: larger[name] for name in images}
    assert pd.read_csv(smaller / "clinical.csv").equals(pd.read_csv(cohort / "clinical.csv")[:2])


def test_another_seed_gives_other_patients(cohort, tmp_path):
    other = simulate_cohort(tmp_path / "other", preset_options("reference", n=1, seed=2, **SMALL))
    assert not set(digests(other).values()) & set(digests(cohort).values())


def test_clinical_table_and_headers_agree(cohort):
    clinical = pd.read_csv(cohort / "clinical.csv", index_col="patient_id")
    assert list(clinical.index) == ["SIM-0001", "SIM-0002", "SIM-0003", "SIM-0004"]
    seen = set()
    for path in (cohort / "dicom").rglob("*"):
        if path.is_file():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            row = clinical.loc[header.PatientID]
            scanned = pydicom.valuerep.DA(header.StudyDate)
            start = date.fromisoformat(row["treatment_start"])
            assert timedelta(days=7) <= start - scanned <= timedelta(days=28)
            assert header.PatientSex == row["sex"][0].upper()
            seen.add(header.PatientID)
    assert seen == set(clinical.index)


def test_simulation_json_states_options_and_aucs(cohort):
    record = json.loads((cohort / "simulation.json").read_text())
    assert record["complete"] is True
    assert record["options"]["seed"] == 1
    assert record["population"]["auc"]["true risk"] == pytest.approx(0.8, abs=0.05)


def test_truth_contains_the_drawn_volumes(cohort):
    truth = pd.read_csv(cohort / "truth.csv")
    wanted = np.array([total_volume(latent) for latent in truth["volume"]])
    assert (truth["volume_primary_mm3"] + truth["volume_nodes_mm3"]).to_numpy() == pytest.approx(wanted, rel=0.05)


def test_folder_with_other_files_is_refused_and_not_changed(tmp_path):
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "mine.dcm").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        simulate_cohort(tmp_path, preset_options("reference", n=1, **SMALL))
    assert (tmp_path / "dicom" / "mine.dcm").read_text() == "mine"


def test_earlier_or_interrupted_simulation_is_replaced(tmp_path):
    table = preset_options("reference", n=3, level="table", draws=2_000)
    simulate_cohort(tmp_path, preset_options("reference", n=1, **SMALL))
    record = json.loads((tmp_path / "simulation.json").read_text())
    (tmp_path / "simulation.json").write_text(json.dumps({**record, "complete": False}))
    simulate_cohort(tmp_path, table)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["clinical.csv", "features.csv", "simulation.json", "truth.csv"]


def test_table_features_follow_the_latents(tmp_path):
    out = simulate_cohort(tmp_path, preset_options("reference", n=600, level="table", draws=2_000, features=200))
    features, truth = pd.read_csv(out / "features.csv"), pd.read_csv(out / "truth.csv")
    assert features.shape == (600, 201)
    assert {name.split("__")[0] for name in features.columns[1:]} == {"tumor", "ring_0_10mm"}
    rank = features.iloc[:, 1:].rank()
    assert rank[VOLUME_FEATURE].corr(truth["volume"].rank()) > 0.999
    assert rank["tumor__texture_01"].corr(truth["texture"].rank()) > 0.7
    assert rank["ring_0_10mm__density_01"].corr(truth["peritumoral"].rank()) > 0.7
    noise = [name for name in rank if "__noise_" in name]
    assert rank[noise].corrwith(truth["risk_2y"].rank()).abs().max() < 0.2


def test_table_patients_are_the_same_for_any_n(tmp_path):
    options = {"level": "table", "draws": 2_000, "missing": 0.3}
    few = simulate_cohort(tmp_path / "few", preset_options("reference", n=20, **options))
    many = simulate_cohort(tmp_path / "many", preset_options("reference", n=50, **options))
    for name in ("features.csv", "clinical.csv", "truth.csv"):
        pd.testing.assert_frame_equal(pd.read_csv(few / name), pd.read_csv(many / name)[:20], check_dtype=False)


def test_missing_values_occur_at_the_wanted_rate_where_they_may(tmp_path):
    out = simulate_cohort(
        tmp_path, preset_options("reference", n=2_000, level="table", draws=2_000, missing=0.1, features=100)
    )
    clinical = pd.read_csv(out / "clinical.csv", keep_default_na=False, na_values=[""])
    share = clinical.isna().mean()
    assert share[list(INCOMPLETE)].to_numpy() == pytest.approx(np.full(len(INCOMPLETE), 0.1), abs=0.03)
    assert share.drop(list(INCOMPLETE)).max() == 0
    features = pd.read_csv(out / "features.csv")
    ring = [name for name in features if name.startswith("ring_")]
    assert features[ring].isna().all(axis=1).mean() == pytest.approx(0.1, abs=0.03)
    assert features.drop(columns=ring).notna().all(axis=None)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_command_prints_the_population_aucs(preset, tmp_path, capsys):
    command = ["simulate", "--out", str(tmp_path / "x"), "-n", "3", "--level", "table", "--preset", preset]
    assert main([*command, "--draws", "5000", "--subtype", "larynx", "--subtype", "oral cavity"]) == 0
    printed = capsys.readouterr().out
    assert preset in printed
    assert "true risk" in printed
    assert "peritumoral" in printed
    assert set(pd.read_csv(tmp_path / "x" / "clinical.csv")["site"]) <= {"larynx", "oral cavity"}


def test_command_names_all_bad_options_at_once(tmp_path, capsys):
    command = ["simulate", "--out", str(tmp_path / "x"), "-n", "0", "--prevalence", "2", "--subtype", "knee"]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert "-n 0" in message
    assert "--prevalence 2.0" in message
    assert "--subtype" in message
    assert not (tmp_path / "x").exists()


def test_command_passes_effects_on_top_of_the_preset(tmp_path, capsys):
    command = ["simulate", "--out", str(tmp_path / "x"), "-n", "2", "--level", "table", "--draws", "2000"]
    assert main([*command, "--preset", "volume-only", "--subtype-effect", "0.7"]) == 0
    capsys.readouterr()
    coefficients = json.loads((tmp_path / "x" / "simulation.json").read_text())["options"]["coefficients"]
    assert coefficients["subtype"] == 0.7
    assert coefficients["volume"] == 1.0
    assert coefficients["texture"] == 0.0
