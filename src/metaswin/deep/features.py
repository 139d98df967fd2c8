"""The job extract_deep_features: scores and features of every patient of a fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from metaswin.deep.cache import load_patch
from metaswin.deep.compute import choose_device, reproducible
from metaswin.deep.network_file import load_network, score
from metaswin.deep.rows import patient_of, rows_of, scored_patients
from metaswin.deep.settings import DeepSettings
from metaswin.files import read_table, write_table


def extract_features(
    patches: Sequence[str],
    folds: str,
    networks: Mapping[str, str],
    output: str,
    repeat: int,
    fold: int,
    settings: DeepSettings,
) -> None:
    """Score every patient of a fold by the network that has not seen it, and describe it by the outer network.

    Writes ``patient, role, score, d000 …``. `score` (see `score`) comes for a training row from the network of the
    inner fold it was left out of, for a test row from `networks["outer"]`. Patients without a patch have missing
    values.

    Parameters
    ----------
    patches, folds
        Patch files of all used patients, ``folds/<endpoint>.parquet``.
    networks : mapping
        Part → network file, of every part.
    output : str
        ``features.parquet``.
    repeat, fold, settings
        The fold, and `device` and `threads` of the settings.
    """
    rows = rows_of(read_table(folds), repeat, fold)
    files = {patient_of(path): path for path in patches}
    there = [patient for patient in rows.index if Path(files[patient]).stat().st_size > 0]
    device = choose_device(settings.device)
    scores = dict.fromkeys(rows.index, np.nan)
    features: dict[str, np.ndarray] = {}
    with reproducible(settings.threads, device):
        for part, path in networks.items():
            network = load_network(path, device)
            scored = set(scored_patients(rows, part))
            for patient in there:
                if part != "outer" and patient not in scored:
                    continue
                value, pooled = score(network, load_patch(files[patient]).half())
                if patient in scored:
                    scores[patient] = value
                if part == "outer":
                    features[patient] = pooled.numpy()
    width = len(next(iter(features.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    columns = [f"d{number:03d}" for number in range(width)]
    described = pd.DataFrame([features.get(patient, blank) for patient in rows.index], columns=columns)
    front = pd.DataFrame({"patient": rows.index, "role": rows["role"].to_numpy(), "score": list(scores.values())})
    write_table(output, pd.concat([front, described], axis=1))
