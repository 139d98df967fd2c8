"""Time, peak memory and size of the report of a run as large as RADCURE, with a QC image of every patient.

    python benchmarks/report.py [--patients 3346] [--repeats 5] [--qc-images 3346]

Evaluated predictions are those of ``benchmarks/evaluation.py``: one endpoint, 12 feature sets with two classifiers
each, 25 folds.
"""

import argparse
import resource
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from evaluation import draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.config.model import Config
from metaswin.config.report import ReportSettings
from metaswin.core.files import read_json, write_json, write_table
from metaswin.core.problems import public_table
from metaswin.evaluation.evaluate import EvaluationOutputs, evaluate
from metaswin.report.build import ReportOutputs, build_report
from metaswin.report.data import ReportInputs
from metaswin.report.files import portable

PICTURE = 60_000


def report_inputs(folder: Path, evaluated: EvaluationOutputs, patients: int, qc_images: int) -> ReportInputs:
    """What the report reads beside the evaluation."""
    rng = np.random.default_rng(0)
    names = [f"P{i:05d}" for i in range(patients)]
    used = pd.DataFrame({"patient": names, "volume_tumor_mm3": rng.lognormal(9, 1, patients), "manufacturer": "A"})
    write_table(folder / "used.parquet", used)
    write_table(folder / "exclusions.parquet", public_table([]))
    write_json(folder / "flow.json", {"clinical": patients, "found": patients, "used": patients, "excluded": {}})
    paths = []
    for name in names[:qc_images]:
        path = folder / f"qc_images/{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rng.bytes(PICTURE))
        paths.append(str(path))
    return ReportInputs(
        evaluation=list(asdict(evaluated).values()),
        flow=str(folder / "flow.json"),
        exclusions=str(folder / "exclusions.parquet"),
        used=str(folder / "used.parquet"),
        clinical=str(folder / "clinical.parquet"),
        qc_images=paths,
    )


def main() -> None:
    """Draw, evaluate, and time the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=3346)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--qc-images", type=int, default=3346)
    options = parser.parse_args()
    endpoint = {"horizon_days": 730.5, "followup": "days", "event": {"column": "dm", "time": "days"}}
    config = Config.model_validate(
        {
            "data": {"source": "dicom"},
            "endpoints": {"dm": endpoint},
            "folds": {"repeats": options.repeats},
            "clinical": {"sets": {"staging": ["column0"]}},
        }
    )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inputs, outputs = draw(folder, options.patients, options.repeats, 8)
        facts = read_json(inputs.facts[0])
        facts["counts"]["nonevent"] |= {"unknown": 0, "left_out": 0}
        write_json(inputs.facts[0], facts)
        columns = [f"column{i}" for i in range(8)]
        evaluate(inputs, outputs, EvaluationSettings(strata=columns, bootstrap=100), {"staging": ["column0"]}, 1)
        read = report_inputs(folder, outputs, options.patients, options.qc_images)
        written = ReportOutputs(folder / "report.html", folder / "tables", folder / "figures")
        started = time.perf_counter(), time.process_time()
        build_report(read, written, ReportSettings(), portable(config.model_dump(mode="json")), folder / "none")
        wall, processor = time.perf_counter() - started[0], time.process_time() - started[1]
        size = written.html.stat().st_size / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{wall:.1f} s ({processor:.1f} s of processor time), {memory:.0f} MB at most, page {size:.1f} MB")


if __name__ == "__main__":
    main()
