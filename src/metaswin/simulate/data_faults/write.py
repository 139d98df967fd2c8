"""Write each fault as a separate patient: DICOM folder, clinical table and a configuration for ``qc``."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.core.errors import UserError
from metaswin.core.files import atomic
from metaswin.simulate.data_faults.case import DataFault, finish, new_case
from metaswin.simulate.data_faults.contours import CONTOURS
from metaswin.simulate.data_faults.segmentations import SEGMENTATIONS
from metaswin.simulate.data_faults.series import SERIES
from metaswin.simulate.data_faults.table import TABLE

DATA_FAULTS = {"rtstruct": [*SERIES, *CONTOURS, *TABLE], "seg": SEGMENTATIONS}


def write_data_faults(out: Path, source: str = "rtstruct") -> list[DataFault]:
    """Write one patient per fault: ``dicom/``, ``clinical.csv`` and a ``config.yaml`` below `out`.

    Parameters
    ----------
    out : Path
        A folder that does not exist, or an empty one.
    source : {"rtstruct", "seg"}
        Type of object that contains the tumour.

    Raises
    ------
    UserError
        If `out` is not empty.
    """
    import yaml

    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"cannot write faults into {out}: it is not empty; give a new folder with --out")
    root = out / "dicom"
    rows: list[dict[str, str]] = []
    try:
        for number, fault in enumerate(DATA_FAULTS[source], start=1):
            case = new_case(root, fault.patient, number)
            fault.damage(case)
            finish(case)
            rows += case.rows
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    with atomic(out / "clinical.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    with atomic(out / "config.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(configuration(source), sort_keys=False))
    return DATA_FAULTS[source]


def configuration(source: str = "rtstruct") -> dict[str, Any]:
    """Return settings that fit the faults, for a run in the folder in which they were written."""
    age = {"role": "baseline", "kind": "numeric", "range": [18, 110]}
    event = {"column": "dm", "time": "dm_days"}
    return {
        "data": {"source": "dicom", "dicom": "dicom"},
        "clinical": {
            "table": "clinical.csv",
            "columns": {
                "age": age,
                "sex": {"role": "baseline", "values": ["Male", "Female"]},
                "hpv": "baseline",
                "recurrence_site": "baseline",
                "treatment_start": "time",
                "dm": "outcome",
                "dm_days": "time",
                "followup_days": "time",
            },
        },
        "endpoints": {"dm_2y": {"horizon_days": 730, "followup": "followup_days", "event": event}},
        "ingest": {"tumor_source": source, "series": {"treatment_start": "treatment_start"}},
        "organs": {"backend": "threshold"},
    }
