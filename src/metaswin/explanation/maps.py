"""Occlusion maps of one endpoint: the work of rule ``map_occlusion``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.deep.cache import load_patch
from metaswin.deep.compute import own_device, reproducible
from metaswin.deep.network_file import load_network, read_facts, score
from metaswin.deep.resources import patients_with_patch
from metaswin.deep.settings import DeepSettings
from metaswin.explanation.choose import choose_patients
from metaswin.explanation.draw import draw_map
from metaswin.explanation.occlusion import occlusion_map
from metaswin.explanation.settings import ExplanationSettings
from metaswin.files import read_table, write_json
from metaswin.folds.rows import Folds, by_place

REPEAT = 0
HEAD = "network"


def map_occlusion(
    inputs: Mapping[str, Any], facts: str | Path, folder: str | Path, settings: ExplanationSettings, deep: DeepSettings
) -> None:
    """Map what the deep network looks at in the patients that the headline arm calls riskiest or is most wrong about.

    Every patient is looked at by the network of the fold that holds the patient out, in the first repeat.

    Parameters
    ----------
    inputs : mapping
        ``folds, patches``; the lists ``predictions, fits, networks`` (one for each outer fold, in the same order).
    facts : path
        Written: ``maps.json``.
    folder : path
        Folder of the pictures.
    settings : ExplanationSettings
    deep : DeepSettings
        `device` and `threads` are read.
    """
    found = by_place(inputs["fits"], inputs["predictions"], inputs["networks"])
    found = {fold: files for (_, repeat, fold), files in found.items() if repeat == REPEAT}
    headline = found[0][0]["headline"]
    tables = {fold: predictions for fold, (_, predictions, _) in found.items()}
    predicted = _predicted(tables, headline, Folds.of(read_table(inputs["folds"]), REPEAT).labels)
    with_patch = predicted["patient"].isin(patients_with_patch(inputs["patches"]))
    chosen = choose_patients(predicted[with_patch], settings.maps)
    Path(folder).mkdir(parents=True, exist_ok=True)
    entries = []
    with own_device(deep.device) as device, reproducible(deep.threads, device):
        for row in chosen.to_dict("records"):
            path = found[int(row["fold"])][2]
            spacing = float(read_facts(path)["patches"]["spacing"])
            network = load_network(path, device)
            patch = load_patch(inputs["patches"], row["patient"]).float()
            effect = occlusion_map(network, patch, spacing, settings.occlusion)
            label = None if pd.isna(row["label"]) else int(row["label"])
            name = f"{row['patient']}.png"
            outcome = {None: "outcome unknown", 0: "no metastasis", 1: "metastasis"}[label]
            draw_map(
                effect,
                patch.numpy(),
                spacing,
                f"{row['patient']}: {row['why']}",
                f"predicted {row['probability']:.0%}, {outcome}; fall of the logit where a cube is hidden",
            ).save(Path(folder) / name)
            entries.append(
                {
                    "patient": row["patient"],
                    "file": f"{Path(folder).name}/{name}",
                    "why": row["why"],
                    "probability": float(row["probability"]),
                    "label": label,
                    "repeat": REPEAT,
                    "fold": int(row["fold"]),
                    "score": score(network, patch)[0],
                    "largest_fall": _largest(effect),
                    "largest_rise": _largest(-effect),
                }
            )
    write_json(facts, {"arm": headline, "head": HEAD, "hidden": settings.occlusion.hide, "maps": entries})


def _predicted(paths: Mapping[int, str], arm: str, labels: pd.Series) -> pd.DataFrame:
    """Test predictions of the headline arm in the first repeat: ``patient, probability, label, fold``."""
    parts = []
    for fold, path in paths.items():
        table = read_table(path)
        own = table[(table["arm"] == arm) & (table["head"] == HEAD) & (table["part"] == "test")]
        parts.append(own[["patient", "probability"]].assign(fold=fold))
    predicted = pd.concat(parts, ignore_index=True).dropna(subset="probability")
    return predicted.assign(label=labels.reindex(predicted["patient"]).to_numpy())


def _largest(effect: np.ndarray) -> float | None:
    """The largest value of a map; None where nothing was tried."""
    return float(np.nanmax(effect)) if np.isfinite(effect).any() else None
