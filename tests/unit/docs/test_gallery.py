"""The scripts of the gallery run, and print what the page of the documentation shows."""

import re
import runpy
import shutil
import sys

import pytest
from bundle_run import NewPatients, fitted, freeze_run
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.evaluation.evaluate import evaluate

NUMBER = re.compile(r"\d+\.\d+")


@pytest.fixture
def output_of(repository, monkeypatch, capsys):
    """Run a script of the gallery with arguments, and return what it prints."""

    def run(name, *arguments):
        path = str(repository / "examples" / name)
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def shown(repository):
    """Script → the output that the page shows below it."""
    page = (repository / "docs/gallery.md").read_text(encoding="utf-8")
    pairs = re.findall(r"literalinclude\} \.\./examples/(\S+)\n.*?```text\n(.*?)```", page, flags=re.DOTALL)
    assert {name for name, _ in pairs} == {path.name for path in (repository / "examples").glob("*.py")}
    return dict(pairs)


def test_radiomics_when_run_then_the_page_shows_its_output(output_of, shown):
    assert output_of("radiomics_of_one_image.py") == shown["radiomics_of_one_image.py"]


def test_roc_when_a_run_is_given_then_it_is_plotted_and_the_page_shows_its_output(
    output_of, shown, tmp_path, monkeypatch
):
    run = draw(tmp_path / "study", Plan(modalities=("clinical", "radiomics")))
    sets = {"paper": ["age", "sex"], "staging": ["site"]}
    evaluate(run.evaluation_inputs, run.evaluation_outputs, EvaluationSettings(bootstrap=100), sets, 7)
    monkeypatch.chdir(tmp_path)
    output = output_of("roc_of_a_run.py", run.folder)
    assert "</svg>" in (tmp_path / "roc.svg").read_text()
    of_folds = [float(value) for value in re.findall(r"AUC (\S+)", output)]
    assert sum(of_folds) / len(of_folds) == pytest.approx(float(re.search(r"mean ([\d.]+)", output)[1]), abs=0.001)
    assert output == shown["roc_of_a_run.py"]


def test_bundle_when_a_table_is_given_then_its_patients_are_predicted(output_of, shown, tmp_path, monkeypatch):
    """The stages of the workflow are replaced here; tests/workflow/test_predict.py runs them."""
    run = fitted(tmp_path)
    run.settings["modalities"] = ["clinical", "radiomics"]
    frozen = freeze_run(run, tmp_path)
    new = NewPatients.of(frozen.run, ["P000", "P001", "P002"], {"P000": "N1", "P001": "N2", "P002": "N3"})
    new.features = new.features.iloc[:0]
    new.clinical.rename(columns={"patient": "patient_id"}).to_csv(tmp_path / "new.csv", index=False)

    def run_workflow(config, output, cores):
        assert config["predict"] == {
            "bundle": str(frozen.bundle),
            "clinical": str(tmp_path / "new.csv"),
            "member": None,
        }
        folder = output / "results/predictions"
        new.predict(frozen, folder)
        shutil.copy(folder / "table.parquet", folder / "predictions.parquet")

    monkeypatch.setattr("metaswin.prediction.cli.run_workflow", run_workflow)
    output = output_of("predict_a_table.py", frozen.bundle, tmp_path / "new.csv", tmp_path / "new")
    # Fitted numbers may differ a little between machines.
    assert NUMBER.sub("0.5", output) == NUMBER.sub("0.5", shown["predict_a_table.py"])
