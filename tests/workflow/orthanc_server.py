"""A real Orthanc with its DICOMweb plug-in: a process of its own, on a free port of the loopback interface."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # of the Debian package orthanc-dicomweb
USER, PASSWORD = "reader", "not-a-secret"


def absent() -> str:
    """Why Orthanc cannot be started here; empty if it can."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        return "no Orthanc: install the Debian packages orthanc and orthanc-dicomweb"
    return ""


class Orthanc:
    """A server that keeps its objects below `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True)
        settings = {
            "Name": "metaswin-test",
            "StorageDirectory": str(self.folder / "objects"),
            "IndexDirectory": str(self.folder / "index"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomServerEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        with (self.folder / "orthanc.log").open("w") as log:
            self.process = subprocess.Popen(
                ["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
            )
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/system", timeout=5)
            except urllib.error.HTTPError:  # it answers, and asks for a password
                return
            except OSError:
                time.sleep(0.2)
            if self.process.poll() is not None:
                break
        raise RuntimeError(f"Orthanc did not start: {(self.folder / 'orthanc.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
