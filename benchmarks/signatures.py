"""Scores of the shipped signatures on converted patients: AUC without any fitting, rank correlation, processor time.

    python -P benchmarks/signatures.py RESULTS CLINICAL.csv --id patient_id --outcome any_distant_mets

RESULTS is a run's folder of results with the stage images.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from metaswin.config.signatures import FOLDER, load_signatures
from metaswin.core.files import read_volume
from metaswin.features.signatures import SCORE, compute
from metaswin.running.places import workflow_root

NAMES = ("tumour-volume", "aerts-2014", "bhklab-aerts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("clinical", type=Path)
    parser.add_argument("--id", default="patient_id")
    parser.add_argument("--outcome", required=True)
    options = parser.parse_args()
    signatures = load_signatures(NAMES, workflow_root() / FOLDER)
    rows, seconds = {}, []
    for folder in sorted((options.results / "images").iterdir()):
        if not (folder / "ct.nii.gz").stat().st_size:
            continue
        image, labels = read_volume(folder / "ct.nii.gz"), read_volume(folder / "tumor.nii.gz")
        start = time.process_time()
        rows[folder.name] = {name: compute(image, labels, one)[0][SCORE] for name, one in signatures.items()}
        seconds.append(time.process_time() - start)
    scores = pd.DataFrame.from_dict(rows, orient="index")
    outcome = pd.read_csv(options.clinical, dtype={options.id: str}).set_index(options.id)[options.outcome]
    outcome = outcome.reindex(scores.index)
    print(
        f"{len(scores)} patients, {int(outcome.sum())} events; median {pd.Series(seconds).median():.1f} s of processor"
    )
    print(scores.corr(method="spearman").round(3))
    for name in scores:
        known = outcome.notna() & scores[name].notna()
        print(f"{name}: AUC {roc_auc_score(outcome[known], scores.loc[known, name]):.3f}, {int(known.sum())} patients")


if __name__ == "__main__":
    main()
