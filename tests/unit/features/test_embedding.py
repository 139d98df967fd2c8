"""Principal components of embeddings, and the import of a user's table."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table
from metaswin.features.embedding import embedding_columns, embedding_facts, import_embedding
from metaswin.features.encoder import LIMIT, ModalityEncoder, fit_encoder


def embeddings(rows: int = 30, columns: int = 50, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)) * np.linspace(3, 0.2, columns) + rng.normal(size=columns) * 10
    return pd.DataFrame(values, columns=[f"e{i:04d}" for i in range(columns)])


def fit(train: pd.DataFrame, count: int = 4) -> ModalityEncoder:
    return fit_encoder(train, dict.fromkeys(train.columns, "embedding"), 2, count)


@pytest.mark.parametrize("shape", [(30, 50), (50, 6)])
def test_components_when_compared_with_scikit_learn_then_equal_up_to_sign(shape):
    train, later = embeddings(*shape), embeddings(*shape, seed=1)
    encoder = fit(train)
    pca = PCA(4, svd_solver="full").fit(train)
    for table in (train, later):
        wanted = pca.transform(table) / np.sqrt(pca.explained_variance_ * (shape[0] - 1) / shape[0])
        found = encoder.transform(table, limit=np.inf)
        signs = np.sign((found * wanted).sum(axis=0))
        np.testing.assert_allclose(found, wanted * signs, atol=1e-8)
    assert encoder.transform(train).std(axis=0) == pytest.approx(np.ones(4), abs=0.1)
    assert np.abs(encoder.transform(train * 1000)).max() == LIMIT
    assert encoder.outputs == ["embedding_01", "embedding_02", "embedding_03", "embedding_04"]


def test_components_when_stored_then_the_same_values_return():
    train = embeddings()
    encoder = fit(train)
    assert "axes" not in json.dumps(encoder.as_json())
    again = ModalityEncoder.from_json(json.loads(json.dumps(encoder.as_json())), encoder.arrays)
    assert again.transform(train).tobytes() == encoder.transform(train).tobytes()


def test_components_when_other_rows_are_encoded_too_then_a_row_has_the_same_bits():
    train = embeddings(60, 200)
    encoder = fit(train)
    whole = encoder.transform(train)
    for rows in (1, 3, 17):
        assert encoder.transform(train[:rows]).tobytes() == whole[:rows].tobytes()


def test_components_when_training_rows_lack_an_embedding_then_mean_and_flag():
    train = embeddings()
    lacking = train.copy()
    lacking.iloc[[3, 8]] = np.nan
    encoder = fit(lacking)
    found = encoder.transform(lacking)
    assert encoder.outputs[-1] == "embedding=missing"
    assert found[[3, 8]].tolist() == [[0, 0, 0, 0, 1]] * 2
    complete = fit(train.drop(index=[3, 8]))
    np.testing.assert_array_equal(found[0, :4], complete.transform(train)[0])
    # Missing only later: no flag, and the mean of the training rows.
    assert complete.transform(lacking)[3].tolist() == [0, 0, 0, 0]
    assert complete.transform(train[["e0001"]]).tolist() == [[0, 0, 0, 0]] * 30


@pytest.mark.parametrize("value", [0.1, 1e6, np.nan])
def test_components_when_no_embedding_varies_then_none(value):
    assert fit(pd.DataFrame(np.full((7, 5), value), columns=list("abcde"))).outputs == []


def test_components_when_fewer_rows_or_columns_than_components_then_as_many_as_there_are():
    assert len(fit(embeddings(4, 50), 16).outputs) == 3
    assert len(fit(embeddings(30, 5), 16).outputs) == 5
    doubled = embeddings(30, 3)
    assert len(fit(doubled.assign(copy=doubled["e0000"]), 16).outputs) == 3


# The user's table.


def imported(folder, table: pd.DataFrame, patients=("A", "B", "C")) -> tuple[pd.DataFrame, pd.DataFrame]:
    write_table(folder / "used.parquet", pd.DataFrame({"patient": list(patients)}))
    table.to_csv(folder / "table.csv", index=False)
    outputs = [str(folder / name) for name in ("embedding.parquet", "problems.parquet")]
    import_embedding(str(folder / "table.csv"), str(folder / "used.parquet"), *outputs, folder / "details")
    return read_table(outputs[0]).set_index("patient"), read_table(outputs[1])


def test_table_when_a_patient_has_no_row_then_missing_values_and_a_problem(tmp_path):
    table = pd.DataFrame({"patient_id": ["B", "A", "Z"], "e0": [2.0, 1.0, 9.0], "e1": [4, 3, 9]})
    values, problems = imported(tmp_path, table)
    assert values.loc["A"].tolist() == [1, 3]
    assert values.loc["C"].isna().all()
    assert problems[["patient", "code", "excludes"]].to_numpy().tolist() == [["C", "no-embedding", False]]
    assert embedding_columns(str(tmp_path / "table.csv")) == ["e0", "e1"]
    assert embedding_facts(str(tmp_path / "embedding.parquet")) == {"sha256": None, "columns": ["e0", "e1"]}


def test_table_when_wrong_then_all_errors_at_once(tmp_path):
    table = pd.DataFrame(
        {"patient_id": ["A", "A", "B"], "e0": [1.0, 2.0, np.nan], "e1": [3, 4, 5], "site": ["x", "y", "z"]}
    )
    with pytest.raises(UserError) as error:
        imported(tmp_path, table)
    for text in (
        "1 ids in more than one row (A)",
        "column 'site': 3 values are not numbers, such as 'x'",
        "1 rows lack some of their values (B)",
    ):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (pd.DataFrame({"patient_id": ["Y", "Z"], "e0": [1, 2]}), "none of its 2 ids is a patient of the cohort"),
        (pd.DataFrame({"patient_id": ["A"]}), "no column except patient_id"),
        (pd.DataFrame({"patientid": ["A"], "e0": [1]}), "rename 'patientid'"),
    ],
)
def test_table_when_without_ids_or_columns_then_told(tmp_path, table, text):
    with pytest.raises(UserError, match=r"(?s)table of embeddings .*") as error:
        imported(tmp_path, table)
    assert text in str(error.value)


def test_table_when_unreadable_then_told(tmp_path):
    with pytest.raises(UserError, match=r"embedding.table: cannot read .* give a CSV"):
        embedding_columns(str(tmp_path / "absent.csv"))
