"""From a real PACS (Orthanc) and back: fetch, killed and completed; radiomics; export; push; read back."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from orthanc_server import PASSWORD, USER, Orthanc, absent

from metaswin.cohort import dicomweb
from metaswin.cohort.dicomweb import Server, connect, retrieve, search

pytestmark = pytest.mark.long

COMMAND = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder with `dicom` and `clinical.csv` of two small simulated patients."""
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    folder = tmp_path_factory.mktemp("simulated") / "data"
    simulate_cohort(folder, SimulationOptions(n=2, seed=11, matrix=48, coverage=90, draws=1000), jobs=1)
    clinical = pd.read_csv(folder / "clinical.csv", dtype=str)
    clinical.assign(dm=["0", "1"]).to_csv(folder / "clinical.csv", index=False)
    return folder


@pytest.fixture
def orthanc(tmp_path, monkeypatch):
    """A running Orthanc, with its credentials in the environment."""
    reason = absent()
    if reason:
        pytest.skip(reason)
    monkeypatch.setenv(dicomweb.USER, USER)
    monkeypatch.setenv(dicomweb.PASSWORD, PASSWORD)
    server = Orthanc(tmp_path / "orthanc")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_uid(paths) -> dict[str, Path]:
    return {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in paths}


def call(*arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout
    assert PASSWORD not in done.stdout
    return done.stdout


def kill_amid(arguments: list[str], out: Path, files: int) -> None:
    """Start a command and kill it, as by a power failure, when it has written some files."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL)
    while sum(1 for _ in out.rglob("*.dcm")) < files and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, "it had ended before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_pacs_when_fetched_run_exported_and_pushed_then_it_has_the_results(orthanc, data, small, snakemake, tmp_path):
    sources = by_uid(path for path in (data / "dicom").rglob("*") if path.is_file())
    server = Server(orthanc.url)
    client, session = connect(server)
    session.headers["Accept"] = "application/dicom+json"
    for path in sources.values():
        client.store_instances([pydicom.dcmread(path)])

    run = tmp_path / "run"
    out = run / "data/dicom"
    arguments = ["fetch", "--dicomweb", orthanc.url, "--patients", str(data / "clinical.csv")]
    kill_amid([*arguments, "--out", str(out), "--jobs", "1"], out, 20)
    kill_amid([*arguments, "--out", str(out)], out, 50)
    for path in out.rglob("[!.]*.dcm"):  # what a killed call leaves under a final name is complete
        assert path.read_bytes() == sources[path.stem].read_bytes()
    new = [int(number) for number in re.findall(r", (\d+) of them new", call(*arguments, "--out", str(out)))]
    assert 0 < sum(new) <= len(sources) - 45  # a few of the files were half written
    call(*arguments, "--out", str(tmp_path / "undisturbed"))
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert {path.stem: path.read_bytes() for path in out.rglob("*.dcm")} == {
        uid: path.read_bytes() for uid, path in sources.items()
    }

    shutil.copy(data / "clinical.csv", run / "data/clinical.csv")
    config = {**small, "deep": {"enabled": False}, "stability": {"enabled": False}, "harmonisation": {}}
    config |= {"evaluation": {}, "radiomics": {"image_types": ["Original"], "regions": ["tumor", "rings"]}}
    done = snakemake(run, config, "--", "export")
    assert done.code == 0, done.text[-5000:]
    exported = run / "private/export"
    (exported / "excluded").mkdir()
    (exported / "excluded/report.dcm").touch()
    text = call("push", "--dicomweb", orthanc.url, "--export", str(exported))
    assert "excluded: empty export" in text

    for folder in sorted(exported.glob("SIM-*")):
        objects = {path.stem: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
        (study,) = {str(data.StudyInstanceUID) for data in objects.values()}
        series = search(client.search_for_series, study, key="SeriesInstanceUID")
        modalities = {str(one.SeriesInstanceUID): str(one.Modality) for one in series}
        for name, own in objects.items():
            assert modalities[own.SeriesInstanceUID] == own.Modality
            back = retrieve(session, server, study, own.SeriesInstanceUID, own.SOPInstanceUID)
            assert back == (folder / f"{name}.dcm").read_bytes()
            if shutil.which("dciodvfy"):
                command = ["dciodvfy", folder / f"{name}.dcm"]
                checked = subprocess.run(command, capture_output=True, text=True, check=False)
                assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == [], name
        assert {data.Modality for data in objects.values()} == {"SEG", "RTSTRUCT", "SR"}
        values = done.table(f"radiomics/{folder.name}.parquet").set_index("region")
        mean = values.loc["tumor", "original_firstorder_Mean"]
        assert any(value == pytest.approx(mean) for value in numbers(objects["report"], "Q4LE"))

    text = call(*arguments, "--out", str(out))  # its own exports are not fetched as contours
    assert [line.split(", ")[1] for line in text.splitlines()[:-1]] == ["0 of them new"] * 2
    session.close()
    for path in (path for path in run.rglob("*") if path.is_file()):
        assert PASSWORD.encode() not in path.read_bytes(), path


def numbers(report: pydicom.Dataset, code: str) -> list[float]:
    """Values of all measurements of a report with this code."""
    found = []
    waiting = [report]
    while waiting:
        item = waiting.pop()
        waiting += item.get("ContentSequence") or []
        if item.get("ValueType") == "NUM" and item.ConceptNameCodeSequence[0].get("CodeValue") == code:
            found.append(float(item.MeasuredValueSequence[0].NumericValue))
    return found
