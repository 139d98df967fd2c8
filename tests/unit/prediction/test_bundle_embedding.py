"""Embeddings in a bundle: the same predictions, and only with the encoder of the training run."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import yaml
from bundle_run import Frozen, NewPatients, fitted, freeze_run

from metaswin.cli import main
from metaswin.core.errors import UserError
from metaswin.core.files import file_hash, read_json, read_table, write_json, write_table
from metaswin.features.embedding import SHA256
from metaswin.models.fusion import load_feature_set
from metaswin.prediction.bundle import read_bundle, write_manifest
from metaswin.prediction.call import check_call, prediction_config

PRIMARY = "clinical+radiomics+embedding"
HASH = "ab" * 32


@dataclass
class Embedded:
    frozen: Frozen
    table: pd.DataFrame

    def predict(self, folder, table=None, sha256=HASH):
        new = NewPatients.of(self.frozen.run, self.frozen.test)
        new.embedding = folder / "embedding.parquet"
        write_table(new.embedding, self.table if table is None else table, {SHA256: sha256})
        return new.predict(self.frozen, folder, member="1,0")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Embedded:
    """A bundle of a run with embeddings of an encoder; one patient of the test fold has none."""
    folder = tmp_path_factory.mktemp("embedded")
    run = fitted(folder)
    run.has = ("features", "embedding")
    sets = [PRIMARY, "clinical+radiomics", "embedding"]
    run.settings |= {"modalities": PRIMARY.split("+"), "feature_sets": sets, "embedding_components": 3}
    patients = run.clinical["patient"].tolist()
    values = np.random.default_rng(0).normal(size=(len(patients), 9))
    values[[4, 6]] = np.nan  # 4 is in the test fold
    table = pd.DataFrame(values, columns=[f"e{i:04d}" for i in range(9)]).assign(patient=patients)
    write_table(run.path("embedding"), table, {SHA256: HASH})
    return Embedded(freeze_run(run, folder), table)


def test_bundle_when_it_predicts_the_test_fold_then_the_predictions_of_the_run(embedded, tmp_path):
    found = embedded.predict(tmp_path)
    table = read_table(embedded.frozen.run.output("predictions.parquet"))
    wanted = table[(table["feature_set"] == PRIMARY) & (table["part"] == "test") & (table["classifier"] == "network")]
    wanted = wanted.set_index("patient")["probability"].sort_index()
    pd.testing.assert_series_equal(found["risk"].sort_index(), wanted, check_names=False, rtol=1e-6)
    assert "embedding (the training mean)" in found.loc["P004", "assumed"]
    assert "embedding" in found.loc["P004", "missing"]
    assert "embedding" in found.loc["P008", "modalities"]
    contributions = read_table(tmp_path / "contributions.parquet")
    assert contributions.loc[contributions["modality"] == "embedding", "feature"].eq("").all()


def test_bundle_when_written_then_components_and_hash_but_no_path(embedded):
    bundle = embedded.frozen.read()
    assert bundle.facts["embedding"] == {"sha256": HASH, "columns": []}
    assert not {"model", "table"} & set(bundle.config["embedding"])
    member = bundle.member_folder("dm", (1, 0)) / "feature_sets"
    encoder = load_feature_set(member, PRIMARY).encoders["embedding"]
    assert encoder.outputs == ["embedding_01", "embedding_02", "embedding_03", "embedding=missing"]


def test_prediction_when_embeddings_come_from_another_encoder_then_both_hashes_are_told(embedded, tmp_path):
    with pytest.raises(UserError, match=rf"SHA-256 {'c' * 64}, but the models were trained with {HASH}"):
        embedded.predict(tmp_path, sha256="c" * 64)


def rewritten(embedded, folder, facts):
    """The bundle as if its embeddings were those of other data: its source has images."""
    import shutil

    shutil.copytree(embedded.frozen.bundle, folder)
    write_json(folder / "bundle.json", read_json(folder / "bundle.json") | {"embedding": facts})
    write_json(folder / "config.json", read_json(folder / "config.json") | {"source": "dicom"})
    write_manifest(folder)
    return read_bundle(folder)


def test_call_when_the_encoder_is_absent_or_another_then_told(embedded, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/slice.dcm").write_text("x")
    model = tmp_path / "model.pt"
    model.write_text("an encoder")
    bundle = rewritten(embedded, tmp_path / "bundle", {"sha256": file_hash(model), "columns": []})

    def messages(embedding, data=tmp_path / "scans"):
        return check_call(bundle, data, None, None, {}, embedding=embedding)

    assert messages({"model": str(model)}) == []
    assert f"the encoder with the SHA-256 {file_hash(model)}; give embedding.model" in messages({})[0]
    assert "no file" in messages({"model": str(tmp_path / "absent.pt")})[0]
    (tmp_path / "other.pt").write_text("another")
    (message,) = messages({"model": str(tmp_path / "other.pt")})
    assert file_hash(model) in message
    assert file_hash(tmp_path / "other.pt") in message
    local = {"embedding": {"model": str(model)}}
    config = prediction_config(bundle, tmp_path / "scans", None, [], local=local)
    assert config["embedding"]["model"] == str(model)
    # From the clinical table alone nothing is encoded.
    assert messages({}, data=None) == ["neither --input nor --clinical is given; there are no patients to predict"]


def test_call_when_the_table_lacks_columns_then_told(embedded, tmp_path):
    bundle = rewritten(embedded, tmp_path / "bundle", {"sha256": None, "columns": ["e0", "e1"]})
    (tmp_path / "table.csv").write_text("patient_id,e1\nA,1\n")
    (tmp_path / "clinical.csv").write_text("patient_id,age,sex,n stage\nA,60,f,n0\n")

    def messages(embedding):
        return check_call(bundle, None, tmp_path / "clinical.csv", None, bundle.config["clinical"], embedding=embedding)

    (message,) = messages({"table": str(tmp_path / "table.csv")})
    assert "lacks 1 columns of the embeddings of the training run (e0)" in message
    assert "a table of embeddings; give embedding.table" in messages({})[0]


def test_command_when_the_encoder_is_another_then_nothing_is_predicted(embedded, tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/slice.dcm").write_text("x")
    rewritten(embedded, tmp_path / "bundle", {"sha256": HASH, "columns": []})
    (tmp_path / "model.pt").write_text("another")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"embedding": {"model": str(tmp_path / "model.pt")}}))
    arguments = {"bundle": "bundle", "input": "scans", "output": "out", "settings": "own.yaml"}
    call = [word for name, path in arguments.items() for word in (f"--{name}", str(tmp_path / path))]
    assert main(["predict", *call]) != 0
    assert HASH in capsys.readouterr().err
    assert not (tmp_path / "out/results").exists()
