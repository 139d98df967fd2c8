"""Map how the score of a network changes when a part of the patch is hidden (Zeiler and Fergus 2014, ECCV)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from metaswin.cohort.folds import Folds, by_place
from metaswin.config.evaluation import ExplanationSettings, OcclusionSettings
from metaswin.config.models import DeepSettings
from metaswin.core.files import read_table, write_json, write_volume
from metaswin.imaging.canvas import (
    AXES,
    GAP,
    HEAD,
    PIXELS,
    ROW,
    WIDTH,
    Canvas,
    Colour,
    Line,
    draw_legend,
    label_panel,
    outline,
    panel_box,
)
from metaswin.imaging.qc_image import PRIMARY, RINGS
from metaswin.models.backbones import Classifier
from metaswin.models.compute import own_device, reproducible
from metaswin.models.deep_features import load_network, score
from metaswin.models.encoder_file import read_facts
from metaswin.models.memory import patients_with_patch
from metaswin.models.patches import load_patch, patch_origin

if TYPE_CHECKING:
    import SimpleITK as sitk

PLAIN = 0.5  # the middle of the CT window

Cube = tuple[slice, ...]


def occlusion_map(network: Classifier, patch: torch.Tensor, spacing: float, settings: OcclusionSettings) -> np.ndarray:
    """Map the fall of the logit when a cube is hidden; the fall is positive if the content raises the risk.

    The value of a voxel is the mean over the cubes that contain it. Each cube is weighted by the distance of the voxel
    from the centre of the cube. With steps of half a cube, this is the linear interpolation between the centres.

    Parameters
    ----------
    network : Classifier
        Network in evaluation mode.
    patch : Tensor, shape (channel, x, y, z)
        Channels CT (0…1 within the window), tumour, ring, organ groups, see `metaswin.imaging.patches`.
    spacing : float
        Edge of a voxel (mm).
    settings : OcclusionSettings

    Returns
    -------
    ndarray of float64, shape (x, y, z)
        NaN for voxels without a tested cube. Only cubes that overlap the tumour or a ring are tested.
    """
    cubes = cubes_at(patch, spacing, settings)
    falls = {"gradient": _gradient_falls, "occlusion": _falls}[settings.method](network, patch, cubes, settings)
    total, weights = np.zeros(patch.shape[1:]), np.zeros(patch.shape[1:])
    for cube, fall in zip(cubes, falls, strict=True):
        weight = _nearness([s.stop - s.start for s in cube])
        total[cube] += weight * fall
        weights[cube] += weight
    return np.divide(total, weights, out=np.full(total.shape, np.nan), where=weights > 0)


def _falls(network: Classifier, patch: torch.Tensor, cubes: list[Cube], settings: OcclusionSettings) -> list[float]:
    """Compute the fall of the logit for each hidden cube, with one pass of the network per cube."""
    falls: list[float] = []
    with torch.inference_mode():
        patch = patch.to(next(network.parameters()).device, torch.float32)
        whole = float(network(patch[None])[0])
        for first in range(0, len(cubes), settings.batch_size):
            batch = cubes[first : first + settings.batch_size]
            hidden = torch.stack([_hidden(patch, [cube], settings.hide) for cube in batch])
            falls += [whole - logit for logit in network(hidden)[0].tolist()]
    return falls


def _gradient_falls(
    network: Classifier, patch: torch.Tensor, cubes: list[Cube], settings: OcclusionSettings
) -> list[float]:
    """Estimate the fall of the logit for each cube by integrated gradients.

    The path leads from the patch with all cubes hidden to the complete patch. The gradients at `steps` points of the
    path give the part of each voxel in the fall. The fall of a cube is the sum over its voxels. The estimate is exact
    for a linear network (Sundararajan et al. 2017, ICML 70:3319-3328).
    """
    patch = patch.to(next(network.parameters()).device, torch.float32)
    hidden = _hidden(patch, cubes, settings.hide)
    change = patch - hidden
    gradient = torch.zeros_like(patch)
    for step in range(settings.steps):  # one point at a time: gradients need more memory than predictions
        point = (hidden + (step + 0.5) / settings.steps * change)[None].requires_grad_(True)
        gradient += torch.autograd.grad(network(point)[0].sum(), point)[0][0]
    parts = (change * gradient / settings.steps).sum(dim=0).double().cpu().numpy()
    return [float(parts[cube].sum()) for cube in cubes]


def cubes_at(patch: torch.Tensor, spacing: float, settings: OcclusionSettings) -> list[Cube]:
    """Return the cubes that overlap the tumour or a ring, in steps over the whole patch."""
    edge = max(1, round(settings.cube / spacing))
    step = max(1, round(settings.step / spacing))
    lesion = (patch[1:3] > 0).any(dim=0).numpy()
    starts = [sorted({*range(0, max(n - edge, 0), step), max(n - edge, 0)}) for n in lesion.shape]
    cubes = [tuple(slice(start, start + edge) for start in corner) for corner in product(*starts)]
    return [cube for cube in cubes if lesion[cube].any()]


def _nearness(edges: list[int]) -> np.ndarray:
    """Return weights that decrease linearly from the centre along each axis and are above 0 within the cube."""
    hats = [1 - np.abs((np.arange(n) + 0.5) * 2 / n - 1) for n in edges]
    return np.einsum("i,j,k->ijk", *hats)


def _hidden(patch: torch.Tensor, cubes: list[Cube], hide: str) -> torch.Tensor:
    changed = patch.clone()
    for cube in cubes:
        if hide == "all":
            changed[1:][(slice(None), *cube)] = 0.0
        changed[0][cube] = PLAIN
    return changed


# Purple to orange (PuOr of ColorBrewer), outer steps first. The colours can be distinguished with any colour vision.
LOWERS: list[Colour] = [(94, 60, 153), (128, 105, 180), (178, 171, 210)]
RAISES: list[Colour] = [(253, 184, 99), (240, 140, 40), (230, 97, 1)]
TINTS = [*LOWERS, *RAISES]
OPACITY = [0.75, 0.6, 0.45, 0.45, 0.6, 0.75]
EDGES = np.array([-2 / 3, -1 / 3, -0.08, 0.08, 1 / 3, 2 / 3])  # of the largest effect; the middle bin is not drawn
BAR = 30  # height of the scale of colours in pixels


def draw_map(effect: np.ndarray, patch: np.ndarray, spacing: float, title: str, note: str) -> Canvas:
    """Draw the planes through the voxel of the tumour with the largest effect.

    Parameters
    ----------
    effect : ndarray, shape (x, y, z)
        Map of `metaswin.evaluation.occlusion.occlusion_map` on the grid of the patch, whose axes are those of the
        patient (LPS).
    patch : ndarray, shape (channel, x, y, z)
        The first channels are CT (0…1), tumour and ring.
    spacing : float
        Edge of a voxel (mm).
    title, note : str
        Text above the panels, left and right.
    """
    size = effect.shape[0]
    seen = np.where((patch[1] > 0.5) & np.isfinite(effect), np.abs(effect), -1.0)
    centre = tuple(map(int, np.unravel_index(int(np.argmax(seen)), effect.shape)))
    largest = float(np.nanmax(np.abs(effect))) if np.isfinite(effect).any() else 0.0
    canvas = Canvas(WIDTH, HEAD + PIXELS + GAP + ROW + BAR, [PRIMARY, RINGS[0]], TINTS, OPACITY)
    for position, plane in enumerate(AXES):
        box = panel_box(position)
        ct, tumor, ring = (_plane(channel, centre, plane) for channel in patch[:3])
        canvas.grey[box] = np.rint(np.clip(_enlarged(ct, 1), 0, 1) * 255).astype(np.uint8)
        canvas.tint[box] = _tint(_plane(effect, centre, plane), largest)
        canvas.line[box][outline(_enlarged(ring, 1) > 0.5, Line(2, dotted=True))] = 2
        canvas.line[box][outline(_enlarged(tumor, 1) > 0.5, Line(1, width=2))] = 1
        label_panel(canvas, position, plane, size * spacing / PIXELS)
    canvas.write_words(4, HEAD // 2, title)
    canvas.write_words(WIDTH - 4, HEAD // 2, note, "rm")
    top = HEAD + PIXELS + GAP
    draw_legend(canvas, top, [("tumour", Line(1, width=2)), ("ring", Line(2, dotted=True))])
    _draw_bar(canvas, top + ROW, largest)
    return canvas


def map_volume(effect: np.ndarray, spacing: float, origin: tuple[float, ...]) -> "sitk.Image":
    """Return a map as a float32 image in the patient's space; 0 where no cube was tried."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.nan_to_num(effect).astype(np.float32).transpose(2, 1, 0))
    image.SetSpacing([spacing] * 3)
    image.SetOrigin(origin)
    return image


def _plane(volume: np.ndarray, centre: tuple[int, ...], plane: str) -> np.ndarray:
    """Return rows and columns of a plane, oriented as in `metaswin.imaging.canvas`, with z upwards."""
    x, y, z = centre
    return {"axial": volume[:, :, z].T, "coronal": volume[:, y, ::-1].T, "sagittal": volume[x, :, ::-1].T}[plane]


def _enlarged(plane: np.ndarray, order: int) -> np.ndarray:
    """Enlarge a plane to the size of the panel; the edges of pixels and voxels coincide."""
    return ndimage.zoom(plane, PIXELS / plane.shape[0], order=order, mode="nearest", grid_mode=True)


def _tint(effect: np.ndarray, largest: float) -> np.ndarray:
    """Return the number of the tint of each pixel, 0 if the effect is small or was not tested."""
    if largest == 0:
        return np.zeros((PIXELS, PIXELS), dtype=np.uint8)
    tried = _enlarged(np.isfinite(effect).astype(float), 0) > 0.5
    share = _enlarged(np.nan_to_num(effect) / largest, 1)
    # Bins 0…6. The middle bin, 3, has no tint.
    numbers = np.array([1, 2, 3, 0, 4, 5, 6], dtype=np.uint8)
    return np.where(tried, numbers[np.digitize(share, EDGES)], 0)


def _draw_bar(canvas: Canvas, top: int, largest: float) -> None:
    """Draw the colour scale in units of the logit."""
    width, height = 52, 10
    left = WIDTH // 2 - 7 * width // 2
    canvas.grey[top : top + height, left : left + 7 * width] = 128
    for place, number in enumerate((1, 2, 3, 0, 4, 5, 6)):
        canvas.tint[top : top + height, left + place * width : left + (place + 1) * width] = number
    for at, share in [(0, -1), (1, -2 / 3), (2, -1 / 3), (3.5, 0), (5, 1 / 3), (6, 2 / 3), (7, 1)]:
        words = f"{share * largest:+.2g}" if share else "0"
        canvas.write_words(left + round(at * width), top + height + 9, words, "mm")
    canvas.write_words(left - 8, top + height // 2, "lowers the risk", "rm")
    canvas.write_words(left + 7 * width + 8, top + height // 2, "raises the risk (logit)", "lm")


HIGHEST, WRONG = "highest risk", "most wrong"


def choose_patients(predictions: pd.DataFrame, most: int) -> pd.DataFrame:
    """Choose at most `most` patients, half of them (rounded up) by their risk and the others by their error.

    Parameters
    ----------
    predictions : DataFrame
        Test predictions of one feature set and classifier in one repeat, one row per patient: ``patient, probability,
        label`` (0, 1 or missing).
    most : int

    Returns
    -------
    DataFrame
        The chosen rows with the new column `why`: first those with the highest risk, then those with the largest
        distance of the prediction from the outcome. No patient occurs twice. Patients with an unknown outcome are
        never chosen by their error.
    """
    ranked = predictions.sort_values(["probability", "patient"], ascending=[False, True])
    high = ranked.head((most + 1) // 2)
    error = (predictions["label"].astype("float64") - predictions["probability"]).abs()
    rest = predictions.assign(error=error)[error.notna() & ~predictions["patient"].isin(high["patient"])]
    wrong = rest.sort_values(["error", "patient"], ascending=[False, True]).head(most - len(high))
    return pd.concat([high.assign(why=HIGHEST), wrong.drop(columns="error").assign(why=WRONG)], ignore_index=True)


REPEAT = 0
CLASSIFIER = "network"
FALLS = {
    "gradient": "estimated fall of the logit, cube hidden",
    "occlusion": "fall of the logit, cube hidden",
}


@dataclass(frozen=True)
class OcclusionInputs:
    """Name the files of an endpoint: folds, patches, and predictions, fits and networks of each outer fold in order."""

    folds: str | Path
    patches: str | Path
    predictions: list[str]
    fits: list[str]
    networks: list[str]


def map_occlusion(
    inputs: OcclusionInputs, facts: str | Path, folder: str | Path, settings: ExplanationSettings, deep: DeepSettings
) -> None:
    """Map what the deep network uses in the patients with the highest predicted risks and the largest errors.

    The map of a patient uses the network of the fold that leaves the patient out, in the first repeat.

    Parameters
    ----------
    inputs : OcclusionInputs
    facts : path
        File ``maps.json`` to write.
    folder : path
        Folder of the images.
    settings : ExplanationSettings
    deep : DeepSettings
        `device` and `threads` are used.
    """
    found = by_place(inputs.fits, inputs.predictions, inputs.networks)
    of_fold = {fold: files for (_, repeat, fold), files in found.items() if repeat == REPEAT}
    primary = of_fold[0][0]["primary"]
    tables = {fold: predictions for fold, (_, predictions, _) in of_fold.items()}
    predicted = _predicted(tables, primary, Folds.of(read_table(inputs.folds), REPEAT).labels)
    with_patch = predicted["patient"].isin(patients_with_patch(inputs.patches))
    chosen = choose_patients(predicted[with_patch], settings.maps)
    Path(folder).mkdir(parents=True, exist_ok=True)
    entries = []
    with own_device(deep.device) as device, reproducible(deep.threads, device):
        for row in chosen.to_dict("records"):
            path = of_fold[int(row["fold"])][2]
            spacing = float(read_facts(path)["patches"]["spacing"])
            network = load_network(path, device)
            patch = load_patch(inputs.patches, row["patient"]).float()
            effect = occlusion_map(network, patch, spacing, settings.occlusion)
            label = None if pd.isna(row["label"]) else int(row["label"])
            name = f"{row['patient']}.png"
            outcome = {None: "outcome unknown", 0: "no metastasis", 1: "metastasis"}[label]
            draw_map(
                effect,
                patch.numpy(),
                spacing,
                f"{row['patient']}: {row['why']}",
                f"predicted {row['probability']:.0%}, {outcome}; {FALLS[settings.occlusion.method]}",
            ).save(Path(folder) / name)
            origin = patch_origin(inputs.patches, row["patient"])
            write_volume(Path(folder) / f"{row['patient']}.nii.gz", map_volume(effect, spacing, origin))
            entries.append(
                {
                    "patient": row["patient"],
                    "file": f"{Path(folder).name}/{name}",
                    "volume": f"{Path(folder).name}/{row['patient']}.nii.gz",
                    "why": row["why"],
                    "probability": float(row["probability"]),
                    "label": label,
                    "repeat": REPEAT,
                    "fold": int(row["fold"]),
                    "method": settings.occlusion.method,
                    "score": score(network, patch)[0],
                    "largest_fall": _largest(effect),
                    "largest_rise": _largest(-effect),
                }
            )
    write_json(
        facts,
        {
            "feature_set": primary,
            "classifier": CLASSIFIER,
            "hidden": settings.occlusion.hide,
            "maps": entries,
        },
    )


def _predicted(paths: Mapping[int, str], feature_set: str, labels: pd.Series) -> pd.DataFrame:
    """Return the test predictions of the primary feature set: ``patient, probability, label, fold``."""
    parts = []
    for fold, path in paths.items():
        table = read_table(path)
        own = table[
            (table["feature_set"] == feature_set) & (table["classifier"] == CLASSIFIER) & (table["part"] == "test")
        ]
        parts.append(own[["patient", "probability"]].assign(fold=fold))
    predicted = pd.concat(parts, ignore_index=True).dropna(subset="probability")
    return predicted.assign(label=labels.reindex(predicted["patient"]).to_numpy())


def _largest(effect: np.ndarray) -> float | None:
    """Return the largest value of a map; None if no cube was tested."""
    return float(np.nanmax(effect)) if np.isfinite(effect).any() else None
