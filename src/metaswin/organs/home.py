"""TotalSegmentator's home: a folder of its own for every process, with telemetry off."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# With these settings TotalSegmentator sends nothing; there is no flag for it.
SILENT = {"totalseg_id": "metaswin", "send_usage_stats": False, "statistics_disclaimer_shown": True}

NNUNET_FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@contextmanager
def home(weights: Path, license_number: str | None = None) -> Iterator[Path]:
    """A home folder of TotalSegmentator's own for this process; it rewrites the files there without a lock.

    Parameters
    ----------
    weights : Path
        Folder of the weights.
    license_number : str, optional
        For tasks that are not openly licensed.
    """
    folder = Path(tempfile.mkdtemp(prefix="metaswin-totalsegmentator-"))
    # nnU-Net reads its three once, when it is imported; TotalSegmentator sets them too late for a plain import.
    places = {
        "TOTALSEG_HOME_DIR": str(folder),
        **dict.fromkeys(("TOTALSEG_WEIGHTS_PATH", *NNUNET_FOLDERS), str(weights.absolute())),
    }
    before = {name: os.environ.get(name) for name in places}
    config: dict[str, Any] = {**SILENT, "prediction_counter": 0}
    if license_number is not None:
        config["license_number"] = license_number
    (folder / "config.json").write_text(json.dumps(config))
    os.environ.update(places)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)
