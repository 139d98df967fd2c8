"""The job extract_deep_features: scores and features of every patient of an outer fold."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from metaswin.deep.cache import load_patch
from metaswin.deep.compute import own_device, reproducible
from metaswin.deep.network_file import load_network, score
from metaswin.deep.resources import patients_with_patch
from metaswin.deep.settings import DeepSettings
from metaswin.files import read_table, write_table
from metaswin.folds.rows import Folds


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
    """Score and describe every patient of an outer fold; which network scores a training row is the `mode`.

    Writes ``patient, role, score, score_seen, d000 …``. The network of the final fit scores the test rows and gives the
    features ``d…``. `score` (see `score`) of a training row comes from the network that left out the row's fold beside
    the test fold; with the mode ``in-sample`` from the network of the final fit, which has seen it. `score_seen` is
    that network's score of the rows that it learnt from. Patients without a patch have missing values.

    Parameters
    ----------
    patches, folds
        ``features/patches.safetensors``, ``folds/<endpoint>.parquet``.
    networks : mapping
        Fit → network file: of every fit of the outer fold, or of the final one alone (``in-sample``).
    output : str
        ``features.parquet``.
    repeat, fold, settings
        The outer fold, and `device` and `threads` of the settings.
    mode : str
        ``fusion.deep_score``.
    """
    rows = Folds.of(read_table(folds), repeat).outer(fold)
    with_patch = set(patients_with_patch(patches))
    there = [patient for patient in rows.patients if patient in with_patch]
    learnt = set(rows.folds.chosen(rows.train))
    scores, seen = dict.fromkeys(rows.patients, np.nan), dict.fromkeys(rows.patients, np.nan)
    features: dict[str, np.ndarray] = {}
    with own_device(settings.device) as device, reproducible(settings.threads, device):
        for fit, path in networks.items():
            network = load_network(path, device)
            final = fit == rows.final
            scored = set(rows.patients if mode == "in-sample" else rows.folds.chosen(rows.scored(fit)))
            for patient in there if final else [patient for patient in there if patient in scored]:
                value, pooled = score(network, load_patch(patches, patient))
                if patient in scored:
                    scores[patient] = value
                if final:
                    features[patient] = pooled.numpy()
                    seen[patient] = value if patient in learnt else np.nan
    width = len(next(iter(features.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    columns = [f"d{number:03d}" for number in range(width)]
    described = pd.DataFrame([features.get(patient, blank) for patient in rows.patients], columns=columns)
    front = pd.DataFrame({"patient": rows.patients, "role": np.where(rows.test, "test", "train")})
    front = front.assign(score=list(scores.values()), score_seen=list(seen.values()))
    write_table(output, pd.concat([front, described], axis=1))
