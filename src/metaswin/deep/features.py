"""The job extract_deep_features: scores and features of every patient of a fold."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from metaswin.deep.cache import load_patch
from metaswin.deep.compute import own_device, reproducible
from metaswin.deep.network_file import load_network, score
from metaswin.deep.resources import patients_with_patch
from metaswin.deep.rows import rows_of, scored_patients, training_labels
from metaswin.deep.settings import DeepSettings
from metaswin.files import read_table, write_table


def extract_features(
    patches: str,
    folds: str,
    networks: Mapping[str, str],
    output: str,
    repeat: int,
    fold: int,
    settings: DeepSettings,
    mode: str = "cross-fitted",
) -> None:
    """Score and describe every patient of a fold; which network scores a training row is the `mode`.

    Writes ``patient, role, score, score_seen, d000 …``. The first of `networks` scores the test rows and gives the
    features ``d…``. `score` (see `score`) of a training row comes from the network of the inner fold it was left out
    of; with the mode ``in-sample`` from the network that has seen it. `score_seen` is what the first network says of
    the rows it was fitted on. Patients without a patch, and rows that every network has seen, have missing values.

    Parameters
    ----------
    patches, folds
        ``features/patches.safetensors``, ``folds/<endpoint>.parquet``.
    networks : mapping
        Part → network file: of every part, of ``outer`` alone (``in-sample``) or of ``inner-0`` alone
        (``inner-validation``).
    output : str
        ``features.parquet``.
    repeat, fold, settings
        The fold, and `device` and `threads` of the settings.
    mode : str
        ``fusion.deep_score``; with ``joint`` scores are cross-fitted.
    """
    rows = rows_of(read_table(folds), repeat, fold)
    with_patch = set(patients_with_patch(patches))
    there = [patient for patient in rows.index if patient in with_patch]
    first = next(iter(networks))
    fitted = set(training_labels(rows, first).index)
    scores, seen = dict.fromkeys(rows.index, np.nan), dict.fromkeys(rows.index, np.nan)
    features: dict[str, np.ndarray] = {}
    with own_device(settings.device) as device, reproducible(settings.threads, device):
        for part, path in networks.items():
            network = load_network(path, device)
            scored = set(scored_patients(rows, part))
            if part == first:
                scored.update(rows.index if mode == "in-sample" else scored_patients(rows, "outer"))
            for patient in there:
                if part != first and patient not in scored:
                    continue
                value, pooled = score(network, load_patch(patches, patient))
                if patient in scored:
                    scores[patient] = value
                if part == first:
                    features[patient] = pooled.numpy()
                    seen[patient] = value if patient in fitted else np.nan
    width = len(next(iter(features.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    columns = [f"d{number:03d}" for number in range(width)]
    described = pd.DataFrame([features.get(patient, blank) for patient in rows.index], columns=columns)
    front = pd.DataFrame({"patient": rows.index, "role": rows["role"].to_numpy()})
    front = front.assign(score=list(scores.values()), score_seen=list(seen.values()))
    write_table(output, pd.concat([front, described], axis=1))
