"""Choosing series of Imaging Data Commons, with a stand-in for its client: nothing is downloaded."""

import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from metaswin.cli import main
from metaswin.cohort.fetch import Selection
from metaswin.cohort.idc import fetch_idc, selected
from metaswin.core.errors import UserError

INDEX = pd.DataFrame(
    [
        ("hnscc", "P1", "1.1", "CT", "2001-05-01", 2),
        ("hnscc", "P1", "1.2", "RTSTRUCT", "2001-05-01", 1),
        ("hnscc", "P1", "1.3", "PT", "2001-05-01", 5),
        ("hnscc", "P2", "2.1", "CT", "2005-05-01", 2),
        ("other", "P3", "3.1", "CT", "2005-05-01", 2),
    ],
    columns=["collection_id", "PatientID", "SeriesInstanceUID", "Modality", "StudyDate", "instanceCount"],
).assign(series_size_MB=1.0, license_short_name="CC BY 4.0")


class Client:
    """What idc-index does, with files of a few bytes; the series 2.1 lacks one."""

    index = INDEX

    def download_dicom_series(self, series, folder, **options):
        assert options["use_s5cmd_sync"]
        for row in INDEX[INDEX["SeriesInstanceUID"].isin(series)].itertuples():
            place = Path(folder) / row.PatientID / row.SeriesInstanceUID
            place.mkdir(parents=True)
            for number in range(row.instanceCount - (row.SeriesInstanceUID == "2.1")):
                (place / f"{number}.dcm").write_bytes(b"x")


@pytest.fixture
def idc(monkeypatch):
    module = ModuleType("idc_index")
    module.IDCClient = Client
    monkeypatch.setitem(sys.modules, "idc_index", module)


def test_selected_when_modalities_dates_and_patients_are_given_then_these_series():
    rows, absent = selected(INDEX, "hnscc", Selection(), None)
    assert rows["SeriesInstanceUID"].tolist() == ["1.1", "1.2", "2.1"]
    rows, absent = selected(INDEX, "hnscc", Selection(("CT",), last=date(2002, 1, 1)), ["P1", "P2"])
    assert (rows["SeriesInstanceUID"].tolist(), absent) == (["1.1"], ["P2"])
    with pytest.raises(UserError, match="no collection 'hnsc'; did you mean 'hnscc'"):
        selected(INDEX, "hnsc", Selection(), None)
    with pytest.raises(UserError, match="no series of MR"):
        selected(INDEX, "hnscc", Selection(("MR",)), None)


def test_fetch_when_a_series_is_incomplete_then_its_patient_is_named(tmp_path, idc):
    lines = []
    with pytest.raises(UserError, match="P2: a series is incomplete") as error:
        fetch_idc("hnscc", Selection(), tmp_path, show=lines.append)
    assert "P1" not in str(error.value)
    assert lines == ["hnscc: 2 patients, 3 series, 0.0 GB; licences: CC BY 4.0"]


def test_command_when_idc_index_is_absent_then_how_to_install_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "idc_index", None)
    assert main(["fetch", "--idc", "hnscc", "--out", str(tmp_path)]) == 1
    assert "pip install idc-index" in capsys.readouterr().err
