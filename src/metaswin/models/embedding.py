"""Compute frozen embeddings: the outputs of an encoder that is not trained on the cohort."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch

from metaswin.config.features import EmbeddingSettings
from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError, several
from metaswin.core.files import file_hash, read_volume, write_table
from metaswin.core.used import used_patients
from metaswin.features.embedding import SHA256
from metaswin.imaging.patches import AIR, main_lesion, voxel_points
from metaswin.models.compute import own_device, reproducible
from metaswin.models.deep_features import load_network, score
from metaswin.models.encoder_file import HOW_TO, check_encoder
from metaswin.models.memory import patients_with_patch
from metaswin.models.patches import load_patch

logger = logging.getLogger("metaswin.models")

# Outputs of the same input that differ by more than this fraction come from an encoder in training mode.
SAME = 1e-3


@dataclass(frozen=True)
class EmbeddingInputs:
    """Name the files that `extract_embedding` reads.

    Attributes
    ----------
    model : str
        The encoder.
    used : str
        ``cohort/used.parquet``.
    ct, tumor : list of str
        ``ct.nii.gz`` and ``tumor.nii.gz`` of every planned patient, for an encoder in TorchScript.
    patches : str or None
        ``features/patches.safetensors``, for a network of another study.
    """

    model: str
    used: str
    ct: list[str]
    tumor: list[str]
    patches: str | None


def extract_embedding(
    inputs: EmbeddingInputs,
    output: str,
    settings: EmbeddingSettings,
    patches: PatchesSettings,
    deep: DeepSettings,
) -> None:
    """Write the embedding of every used patient: ``patient, e0000 …``.

    One patient is encoded at a time, so an embedding does not depend on the other patients. A patient without a patch
    has missing values. The schema metadata contain the SHA-256 of the encoder.

    Parameters
    ----------
    inputs : EmbeddingInputs
    output : str
        ``features/embedding.parquet``.
    settings, patches
    deep : DeepSettings
        ``device`` and ``threads``.

    Raises
    ------
    UserError
        If the file is not an encoder, or if its outputs are not vectors of finite numbers.
    """
    messages = check_encoder(settings, patches)
    if messages:
        raise several("The encoder cannot be used:", messages)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(deep.threads)
    patients = used_patients(inputs.used)
    start = time.perf_counter()
    with own_device(deep.device) as device, reproducible(deep.threads, device):
        if inputs.patches is not None:
            vectors = _of_network(inputs.model, inputs.patches, patients, device)
        else:
            ct, tumor = ({Path(path).parent.name: path for path in paths} for paths in (inputs.ct, inputs.tumor))
            encode = load_encoder(inputs.model, device)
            vectors = {}
            for patient in patients:
                values = lesion_input(read_volume(ct[patient]), read_volume(tumor[patient]), settings)
                if not vectors:
                    check_frozen(encode, values)
                vectors[patient] = encode(values)
    wrong = sorted(patient for patient, vector in vectors.items() if not np.isfinite(vector).all())
    if wrong:
        raise UserError(
            f"embedding.model: {inputs.model} returned values that are not finite for {len(wrong)} of {len(vectors)} "
            f"patients ({', '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}); expected finite numbers; check "
            "embedding.window and the export of the encoder"
        )
    table = _table(vectors, patients)
    logger.info("%d embeddings of %d numbers, %.1f s", len(vectors), table.shape[1] - 1, time.perf_counter() - start)
    write_table(output, table, {SHA256: file_hash(inputs.model)})


def lesion_input(ct: sitk.Image, tumor: sitk.Image, settings: EmbeddingSettings) -> np.ndarray:
    """Return the CT around the main lesion as an encoder receives it: float32, shape (z, y, x).

    The axes run upwards, to the back and to the left of the patient, as in FMCIB and CT-FM. As in their code, the
    centroid of the main lesion is at the centre of voxel ``size // 2``, and the CT is interpolated linearly without
    smoothing. Points beyond the CT are air (-1024 HU).

    Parameters
    ----------
    ct, tumor : Image
        CT (HU), and label map on its grid (1 primary, 2 nodes).
    settings : EmbeddingSettings
    """
    centre = voxel_points(tumor, main_lesion(sitk.GetArrayViewFromImage(tumor))).mean(axis=0)
    size, spacing = np.array(settings.size), np.array(settings.spacing)
    origin = centre - size // 2 * spacing
    moved = sitk.Resample(
        ct, size.tolist(), sitk.Transform(), sitk.sitkLinear, origin.tolist(), spacing.tolist(),
        np.eye(3).ravel().tolist(), AIR, sitk.sitkFloat32,
    )  # fmt: skip
    low, high = settings.window
    scaled = (sitk.GetArrayFromImage(moved) - np.float32(low)) / np.float32(high - low)
    return np.clip(scaled, 0, 1) if settings.clip else scaled


def load_encoder(path: str | Path, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """Load an encoder in TorchScript, as a function from its input (z, y, x) to its output (n,), float32.

    Raises
    ------
    UserError
        If torch cannot read the file. The function raises it if the encoder fails, or if its output is not one vector.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch announces a successor of TorchScript
        try:
            encoder = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            raise UserError(f"embedding.model: torch cannot read {path} ({_last_line(error)}); {HOW_TO}") from None

    def run(values: np.ndarray) -> np.ndarray:
        patch = torch.from_numpy(values)[None, None].to(device)
        try:
            with torch.inference_mode():
                found = encoder(patch)
        except RuntimeError as error:
            raise UserError(
                f"embedding.model: the encoder failed on an input of shape {tuple(patch.shape)} ({_last_line(error)}); "
                f"set embedding.size to the input of the encoder, or export it for this size; {HOW_TO}"
            ) from None
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != 1 or not found.shape[1]:
            raise UserError(
                f"embedding.model: the output of the encoder is {shape}; expected a tensor of shape (1, n), one vector "
                f"for one patient; pool and flatten the output in the exported encoder; {HOW_TO}"
            )
        return found[0].float().cpu().numpy()

    return run


def check_frozen(encode: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> None:
    """Check that an encoder returns the same output for the same input, which one in training mode does not.

    Raises
    ------
    UserError
        If the outputs differ.
    """
    first, second = encode(values), encode(values)
    scale = float(np.abs(first[np.isfinite(first)]).max(initial=0))
    if not np.allclose(first, second, rtol=SAME, atol=SAME * scale, equal_nan=True):
        raise UserError(
            "embedding.model: the encoder returned different outputs for the same input; expected a frozen encoder; "
            "call .eval() before the export"
        )


def _of_network(path: str, patches: str, patients: list[str], device: torch.device) -> dict[str, np.ndarray]:
    """Return the pooled features of a network of another study, for the patients that have a patch."""
    try:
        network = load_network(path, device)
    except RuntimeError:  # the weights do not fit the architecture of this version
        raise UserError(
            f"embedding.model: {path} was written by another version of metaswin, whose networks differ; train the "
            "network with this version"
        ) from None
    there = set(patients_with_patch(patches))
    return {
        patient: score(network, load_patch(patches, patient))[1].numpy() for patient in patients if patient in there
    }


def _table(vectors: Mapping[str, np.ndarray], patients: list[str]) -> pd.DataFrame:
    width = len(next(iter(vectors.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    names = [f"e{number:04d}" for number in range(width)]
    values = pd.DataFrame([vectors.get(patient, blank) for patient in patients], columns=names)
    return pd.concat([pd.DataFrame({"patient": patients}), values], axis=1)


def _last_line(error: Exception) -> str:
    """Return the last line of a message, because torch puts a traceback of the encoder's program before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
