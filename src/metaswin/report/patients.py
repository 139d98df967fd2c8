"""The patient table, and the pictures that are put into the page."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.report.data import Endpoint, ReportData
from metaswin.report.tables import patient_rows

# Of all pictures together, before base64 makes them a third larger: the page stays below 15 MB.
PICTURE_BYTES = 7_000_000


def patients_view(endpoint: Endpoint) -> pd.DataFrame:
    """Test predictions of the headline, with how far each is from its outcome.

    `wrong` is |outcome − predicted risk|, missing where the outcome is unknown.
    """
    table = patient_rows(endpoint)
    return table.assign(wrong=(table["label"].astype("float64") - table["probability"]).abs())


def chosen_pictures(data: ReportData, most: int) -> dict[str, Path]:
    """Pictures to show, at most `most` and `PICTURE_BYTES`; of each endpoint highest risks and most wrong first.

    Parameters
    ----------
    data : ReportData
    most : int
        Patients with a picture in the page.
    """
    found: dict[str, Path] = {}
    size = 0
    for patient in _by_interest(data.endpoints):
        path = data.pictures.get(patient)
        if path is None or patient in found or len(found) == most:
            continue
        size += path.stat().st_size
        if size > PICTURE_BYTES:
            break
        found[patient] = path
    return found


def embedded(path: Path) -> str:
    """A picture as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _by_interest(endpoints: Iterable[Endpoint]) -> list[str]:
    """Patients of all endpoints in turn, highest risk and most wrong alternately, each once."""
    queues: list[list[Any]] = []
    for endpoint in endpoints:
        table = patients_view(endpoint)
        queues.append(table["patient"].tolist())
        queues.append(table.sort_values("wrong", ascending=False, kind="stable")["patient"].tolist())
    longest = max(map(len, queues), default=0)
    order = (queue[k] for k in range(longest) for queue in queues if k < len(queue))
    return list(dict.fromkeys(order))
