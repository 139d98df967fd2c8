"""One fold's models, copied into the bundle with what places a new patient among their training rows."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.bundle.arms import BundledArm
from metaswin.bundle.distance import Distance, fit_distance, measured_blocks, measured_rows
from metaswin.bundle.settings import BundleSettings
from metaswin.files import atomic, read_json, read_table, write_json
from metaswin.fusion.fit import FoldRows
from metaswin.fusion.modalities import Sources, load_sources
from metaswin.fusion.store import FittedArm, arm_file, load_arm

# Columns of a selection that predicting needs.
SELECTION = ["part", "set", "feature", "kept", "step", "rank", "median"]
DISTANCE = ("mean", "precision", "left_out")
TOLERANCE = 1e-6


@dataclass(frozen=True)
class MemberFiles:
    """Where one fold of the run lies; None for what it does not have."""

    predictions: str
    models: str
    selection: str | None = None
    harmonisation: str | None = None
    harmonisation_values: str | None = None
    deep: str | None = None
    network: str | None = None
    joint: str | None = None
    joint_network: str | None = None


@dataclass(frozen=True)
class Reference:
    """What the training rows of one arm and member were, as numbers over all of them.

    Attributes
    ----------
    mean : ndarray of shape (encoded columns,)
        The average training patient: what a contribution is measured against.
    distance : Distance or None
    """

    mean: np.ndarray
    distance: Distance | None


def freeze_member(
    folder: Path,
    files: MemberFiles,
    folds: pd.DataFrame,
    place: tuple[int, int],
    inputs: Mapping[str, str | None],
    sets: Mapping[str, list[str]],
    arms: Sequence[BundledArm],
    settings: BundleSettings,
    seed: int,
) -> dict[str, FittedArm]:
    """Write one member below `folder` and return its arms.

    Parameters
    ----------
    folder : Path
    files : MemberFiles
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    place : (int, int)
        Repeat and fold.
    inputs : mapping
        Paths of the tables that all members share: ``clinical, used, features, anatomy``.
    sets, arms, settings, seed

    Raises
    ------
    RuntimeError
        If an arm does not give the test predictions of the run again.
    """
    rows = FoldRows.of(folds, *place)
    own = {name: getattr(files, name) for name in ("selection", "harmonisation", "harmonisation_values")}
    scores = {"deep": files.deep, "joint": files.joint}
    predictions = read_table(files.predictions)
    sources = {
        network: load_sources(rows.patients, {**inputs, **own, "deep": scores.get(network)}, sets)
        for network in {arm.network for arm in arms}
    }
    fitted, tensors = {}, {}
    for arm in arms:
        fitted[arm.name] = load_arm(files.models, arm.name)
        tables = raw_tables(replace(sources[arm.network], selected_on=arm.selected_on), arm.blocks)
        _check(fitted[arm.name], tables, rows, predictions)
        learnt = rows.train if arm.selected_on == "outer" else rows.train & rows.predicted(arm.selected_on)
        tensors |= _reference(fitted[arm.name], tables, learnt, settings, [seed, *place])
        for ending in (".json", ".safetensors"):
            _copy(f"{arm_file(files.models, arm.name)}{ending}", f"{arm_file(folder / 'arms', arm.name)}{ending}")
    with atomic(folder / "reference.safetensors") as temporary:
        save_file(tensors, temporary)
    parts = {arm.selected_on for arm in arms}
    _write_selection(folder, files, parts)
    _write_harmonisation(folder, files, parts)
    for source, name in [(files.network, "deep"), (files.joint_network, "joint")]:
        if source and name in {arm.network for arm in arms}:
            _copy(source, folder / f"{name}.safetensors")
    return fitted


def raw_tables(sources: Sources, blocks: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Raw columns of each block, as a member that is fitted on part ``outer`` sees them."""
    return {block: sources.table(block, "outer")[0] for block in blocks}


def read_selection(folder: Path) -> pd.DataFrame | None:
    """Selection of one member as `metaswin.selection.apply` reads it; None where it has none."""
    path = folder / "selection.json"
    if not path.is_file():
        return None
    table = pd.DataFrame(read_json(path), columns=SELECTION)
    return table.astype({"kept": bool, "rank": "float64", "median": "float64"})


def read_reference(folder: Path, arm: str) -> Reference:
    """Reference of one arm of a member."""
    tensors = load_file(folder / "reference.safetensors")
    numbers = {name: tensors.get(f"{arm}/distance/{name}") for name in DISTANCE}
    return Reference(tensors[f"{arm}/mean"], None if numbers["mean"] is None else Distance(**numbers))


def _reference(
    arm: FittedArm, tables: dict[str, pd.DataFrame], learnt: np.ndarray, settings: BundleSettings, seed: list[int]
) -> dict[str, np.ndarray]:
    training = {block: table[learnt] for block, table in tables.items()}
    encoded = [encoder.transform(training[block]) for block, encoder in arm.encoders.items()]
    found = {f"{arm.name}/mean": np.concatenate(encoded, axis=1).mean(axis=0)}
    if not measured_blocks(arm):
        return found
    distance = fit_distance(measured_rows(arm, training), settings.distance_rows, seed)
    if distance is None:
        return found
    return found | {f"{arm.name}/distance/{name}": np.ascontiguousarray(getattr(distance, name)) for name in DISTANCE}


def _check(arm: FittedArm, tables: dict[str, pd.DataFrame], rows: FoldRows, predictions: pd.DataFrame) -> None:
    """Freeze nothing but what predicted the test rows of the run."""
    found = arm.predict({block: table[rows.test] for block, table in tables.items()})
    patients = [patient for patient, test in zip(rows.patients, rows.test, strict=True) if test]
    chosen = predictions[(predictions["arm"] == arm.name) & (predictions["part"] == "test")]
    for head, probability in found.items():
        wanted = chosen[chosen["head"] == head].set_index("patient")["probability"].reindex(patients)
        if not np.abs(probability - wanted.to_numpy(dtype="float64")).max(initial=0) <= TOLERANCE:
            raise RuntimeError(f"{arm.name}, {head}: the fitted arm gives other predictions than those of its fold")


def _write_selection(folder: Path, files: MemberFiles, parts: Collection[str]) -> None:
    """Kept features and flags of the parts that hold, as JSON."""
    if files.selection is None:
        return
    table = read_table(files.selection)
    needed = table["kept"] | (table["step"] == "flag")
    table = table.loc[needed & table["part"].isin(parts), SELECTION]
    records = [
        {key: None if pd.isna(value) else value for key, value in row.items()} for row in table.to_dict("records")
    ]
    write_json(folder / "selection.json", records)


def _write_harmonisation(folder: Path, files: MemberFiles, parts: Collection[str]) -> None:
    """The fits of the parts that hold; without the numbers of patients by batch, which nothing here reads."""
    if files.harmonisation is None:
        return
    facts = read_json(files.harmonisation)
    facts["parts"] = {
        part: {name: facts["parts"][part][name] for name in ("fitted", "covariates")} for part in sorted(parts)
    }
    write_json(folder / "harmonisation.json", facts)
    tensors = load_file(files.harmonisation_values)
    kept = {name: array for name, array in tensors.items() if name.split("/")[0] in parts}
    with atomic(folder / "harmonisation.safetensors") as temporary:
        save_file(kept, temporary)


def _copy(source: str, target: str | Path) -> None:
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
