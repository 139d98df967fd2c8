"""Predict the patients of a clinical table with a bundle.

Call it with the folder of a bundle, a CSV file and a new folder for the output:
``python predict_a_table.py runs/my-study/results/bundle new.csv runs/new``. It prints what the bundle contains and one
row per patient: the risk, the lowest and highest risk of the members, and the feature set that was used. Without
images, the feature set of the clinical columns predicts. The predictions are for research only.
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd

from metaswin.cli import main
from metaswin.prediction.bundle import read_bundle

folder, table, output = sys.argv[1:]
bundle = read_bundle(folder)  # fails if a file was changed
for endpoint in bundle.endpoints:
    names = [each.name for each in bundle.feature_sets(endpoint)]
    print(f"{endpoint}: {len(bundle.members(endpoint))} members, feature sets {', '.join(names)}")

with redirect_stdout(sys.stderr):  # the summary of the command
    status = main(["predict", "--bundle", folder, "--clinical", table, "--output", output])
if status:
    sys.exit(status)
predictions = pd.read_parquet(Path(output) / "results" / "predictions" / "predictions.parquet")
columns = ["endpoint", "patient", "risk", "range_low", "range_high", "feature_set"]
print(predictions[columns].round(3).to_string(index=False))
