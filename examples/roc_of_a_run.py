"""Plot the ROC curves of the primary model of a finished run.

Call it with the folder of the run: ``python roc_of_a_run.py runs/my-study``. It prints the AUC of each test fold and
the mean with its interval, as in the report. It writes ``roc.svg`` with one curve per fold into the current folder.
Patients whose outcome is unknown have weight 0. With a horizon, the weights correct for censoring.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import auc, roc_curve

evaluation = Path(sys.argv[1]) / "results" / "evaluation"
summary = pd.read_parquet(evaluation / "summary.parquet")
primary = summary[summary["primary"] & (summary["classifier"] == "network")].iloc[0]  # the default classifier
print(f"{primary['endpoint']}: {primary['feature_set']}, {primary['classifier']}")

keys = ["endpoint", "feature_set", "classifier"]
predictions = pd.read_parquet(evaluation / "predictions.parquet")
rows = predictions[(predictions[keys] == primary[keys]).all(axis=1) & (predictions["weight"] > 0)]
axes = Figure(figsize=(4, 4)).subplots()
for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
    false, true, _ = roc_curve(part["label"], part["probability"], sample_weight=part["weight"])
    axes.plot(false, true, label=f"repeat {repeat}, fold {fold}")
    print(f"repeat {repeat}, fold {fold}: {len(part)} patients, AUC {auc(false, true):.3f}")
axes.set(xlabel="1 - specificity", ylabel="sensitivity")
axes.legend()
axes.figure.savefig("roc.svg")

name = "auc_ipcw" if pd.notna(primary["auc_ipcw"]) else "auc"
print(f"mean {primary[name]:.3f}, interval {primary[f'{name}_low']:.3f} to {primary[f'{name}_high']:.3f}")
