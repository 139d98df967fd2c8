"""Backbone and fusion network trained end to end."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from patch_file import spoil
from test_deep_train import COUNT, SETTINGS, Interrupt, make_cohort, train

from metaswin.deep.backbones import Classifier
from metaswin.deep.network_file import load_network
from metaswin.files import read_json, read_table, write_table
from metaswin.fusion.encode import NumericColumn
from metaswin.fusion.fit import ThresholdRule
from metaswin.fusion.fold import train_fusion
from metaswin.fusion.joint import JointNetwork, score_column
from metaswin.fusion.joint_job import train_joint
from metaswin.fusion.network import fit_networks
from metaswin.fusion.settings import FusionSettings, NetworkSettings
from metaswin.fusion.store import load_arm, load_networks

FUSION = FusionSettings(
    network={"steps": 20, "ensemble": 2, "penalties": [1.0, 10.0]},
    deep_score="joint",
    joint={"epochs": 4, "learning_rate": 1e-3},
)
SETS = {"paper": ["age", "grade"]}


def test_joint_network_when_untrained_then_predicts_as_its_two_halves_one_after_the_other():
    rng = np.random.default_rng(0)
    label = np.array([0.0, 1] * 6)
    score, tabular, volume = rng.normal(size=12), rng.normal(size=(12, 3)), rng.normal(size=(12, 1))
    scaling = NumericColumn("deep_score", False, 0.0, 0.3, 0.5, True)
    missing = np.zeros((12, 1))
    deep = np.concatenate([np.clip((score - 0.3) / 0.5, -5, 5)[:, None], missing], axis=1)
    settings = NetworkSettings(steps=30, ensemble=2)
    head = fit_networks([tabular, deep, volume], label, [1.0], settings, 3)

    class Given(torch.nn.Module):
        def forward(self, patches):
            return patches.flatten(1)

    backbone = Classifier(Given(), 1, 0.0)
    torch.nn.init.ones_(backbone.head.weight)
    backbone.prior.fill_(-0.7)
    stand_in = [tabular, np.full((12, 2), [9.0, 0.0]), volume]
    column = score_column(("clinical:paper", "deep", "volume"), head.widths)
    joint = JointNetwork(backbone, head, np.concatenate(stand_in, axis=1), column, scaling, 0.3).eval()
    patches, rows = torch.tensor(score, dtype=torch.float32).reshape(12, 1, 1, 1, 1), torch.arange(12)
    # Batch normalisation starts with mean 0 and variance 1.
    logits = joint.logits(patches[[3, 1, 7]], rows[[3, 1, 7]])
    assert logits.detach().numpy() == pytest.approx(head.logits([tabular, deep, volume])[0][[3, 1, 7]], abs=1e-4)
    same = joint.trained_head().logits([tabular, deep, volume])
    assert same == pytest.approx(head.logits([tabular, deep, volume]), abs=1e-6)
    joint.logits(patches, rows).sum().backward()
    assert float(backbone.head.weight.grad.abs().sum()) > 0
    assert float(joint.head["encoder0-weight"].grad.abs().sum()) > 0


def write_tables(folder):
    """Clinical table, volumes and cross-fitted scores of the cohort of `test_deep_train`."""
    rng = np.random.default_rng(5)
    patients = [f"P{i:02d}" for i in range(COUNT)]
    clinical = pd.DataFrame({"patient": patients, "age": rng.normal(size=COUNT), "grade": rng.normal(size=COUNT)})
    metadata = {key: json.dumps({"age": value, "grade": value}) for key, value in
                [("roles", "baseline"), ("kinds", "numeric")]}  # fmt: skip
    write_table(folder / "clinical.parquet", clinical, metadata)
    write_table(folder / "used.parquet", pd.DataFrame({"patient": patients, "volume_tumor_mm3": 9.0}))
    scores = rng.normal(size=COUNT)
    scores[-1] = np.nan
    write_table(folder / "deep.parquet", pd.DataFrame({"patient": patients, "score": scores}))


def tables(folder):
    names = ("folds", "clinical", "used", "deep")
    return {**{name: str(folder / f"{name}.parquet") for name in names}, "features": None, "selection": None}


def joint(folder, network, out, part="outer", epochs=4):
    patches = str(folder / "patches.safetensors")
    settings = FUSION.model_copy(update={"joint": FUSION.joint.model_copy(update={"epochs": epochs})})
    train_joint(
        {**tables(folder), "patches": patches, "network": str(network / "network.safetensors")},
        {name: str(out / part / file) for name, file in
         [("network", "network.safetensors"), ("head", "head.safetensors"), ("training", "training.json")]},
        out / "scratch",
        {"endpoint": "dm", "repeat": "0", "fold": "0", "backbone": "swin", "part": part},
        SETS,
        settings,
        SETTINGS,
        seed=1,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in (out / part).iterdir()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    make_cohort(folder)
    write_tables(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(cohort, tmp_path_factory):
    settings = SETTINGS.model_copy(update={"epochs": 1})
    return train(cohort, tmp_path_factory.mktemp("backbone"), settings=settings)


@pytest.fixture(scope="module")
def undisturbed(cohort, backbone, tmp_path_factory):
    """Files of the outer part."""
    return joint(cohort, backbone, tmp_path_factory.mktemp("undisturbed"))


def test_joint_when_trained_then_backbone_and_head_have_moved_and_load_again(backbone, undisturbed, tmp_path):
    for name, content in undisturbed.items():
        (tmp_path / name).write_bytes(content)
    before, after = (load_network(folder / "network.safetensors").state_dict() for folder in (backbone, tmp_path))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    head = load_networks(tmp_path / "head.safetensors", [2, 2])
    assert head.logits([np.zeros((5, 2)), np.zeros((5, 2))]).shape == (1, 5)
    facts = read_json(tmp_path / "training.json")
    assert (facts["arm"], facts["rows"], facts["events"], len(facts["losses"])) == ("clinical+deep", 6, 3, 4)
    assert facts["penalty"] in FUSION.network.penalties


def test_joint_when_test_rows_are_corrupted_then_the_same_bytes(cohort, backbone, undisturbed, tmp_path):
    folds = read_table(cohort / "folds.parquet")
    test = set(folds.loc[folds["fold"] == 0, "patient"])
    spoil(cohort / "patches.safetensors", tmp_path / "patches.safetensors", list(test))
    write_tables(tmp_path)
    for name in ("clinical", "used", "deep"):
        table = read_table(tmp_path / f"{name}.parquet")
        rows = table["patient"].isin(test)
        for column in table.columns.drop("patient"):
            table.loc[rows, column] = 1e4
        kept = {} if name != "clinical" else {key: json.dumps({"age": value, "grade": value}) for key, value in
                                              [("roles", "baseline"), ("kinds", "numeric")]}  # fmt: skip
        write_table(tmp_path / f"{name}.parquet", table, kept)
    folds["label"] = folds["label"].where(~folds["patient"].isin(test), 1 - folds["label"])
    write_table(tmp_path / "folds.parquet", folds)
    assert joint(tmp_path, backbone, tmp_path / "out") == undisturbed


def test_joint_when_interrupted_then_resumes_and_ends_bit_for_bit(cohort, backbone, undisturbed, tmp_path, caplog):
    interrupt, logger = Interrupt(), logging.getLogger("metaswin.deep")
    caplog.set_level("INFO", logger="metaswin.deep")
    logger.addHandler(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            joint(cohort, backbone, tmp_path)
    finally:
        logger.removeHandler(interrupt)
    assert joint(cohort, backbone, tmp_path) == undisturbed
    assert "resumed after epoch 2" in caplog.text
    assert not (tmp_path / "scratch").exists()


def test_fold_when_joint_then_the_headline_network_is_the_trained_one_and_others_are_cross_fitted(
    cohort, backbone, tmp_path
):
    for part in ("outer", "inner-0", "inner-1"):
        joint(cohort, backbone, tmp_path, part, epochs=1)
    rng = np.random.default_rng(7)
    deep = read_table(cohort / "deep.parquet")
    seen = deep.assign(score=rng.normal(size=COUNT), score_seen=rng.normal(size=COUNT))
    write_table(tmp_path / "joint.parquet", seen)
    results = {}
    for mode in ("joint", "cross-fitted"):
        outputs = {name: str(tmp_path / mode / name) for name in ("predictions.parquet", "fits.json", "models")}
        heads = [str(tmp_path / part / "head.safetensors") for part in ("outer", "inner-0", "inner-1")]
        left = {"joint_features": str(tmp_path / "joint.parquet"), "joint_heads": heads} if mode == "joint" else {}
        inputs = {**tables(cohort), **left}
        settings = FUSION.model_copy(update={"deep_score": mode})
        train_fusion(
            inputs, dict(zip(("predictions", "fits", "models"), outputs.values(), strict=True)), 0, 0, SETS, settings,
            ThresholdRule(), seed=1,
        )  # fmt: skip
        results[mode] = (
            read_table(outputs["predictions.parquet"]).set_index(["arm", "head", "patient"]).sort_index()["probability"]
        )
    arm = load_arm(tmp_path / "joint/models", "clinical+deep")
    assert (arm.heads["network"].model.weights["output.weight"]
            == load_networks(tmp_path / "outer/head.safetensors", [2, 2]).weights["output.weight"]).all()  # fmt: skip
    clinical = read_table(cohort / "clinical.parquet").iloc[:4]
    raw = {"clinical:paper": clinical, "deep": seen[["score"]].rename(columns={"score": "deep_score"}).iloc[:4]}
    for head, expected in arm.predict(raw).items():
        assert results["joint"]["clinical+deep", head][:4].to_numpy() == pytest.approx(expected, abs=1e-6)
    for name in ("deep", "clinical:paper"):
        assert results["joint"][name].equals(results["cross-fitted"][name])
    assert not np.allclose(results["joint"]["clinical+deep"], results["cross-fitted"]["clinical+deep"])
