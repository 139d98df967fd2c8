"""Draw a table of features directly, for cohorts that are too large to draw images of.

The features replace radiomics. They are noisy copies of the latent variables in correlated groups (some of them
skewed), the volume itself, and mostly noise that is correlated in blocks like real features. Their loadings are
fixed; the seed of a cohort changes the patients only.
"""

import numpy as np
import pandas as pd

from metaswin.simulate.clinical import study_id
from metaswin.simulate.lesions import total_volume
from metaswin.simulate.options import SimulationOptions
from metaswin.simulate.population import (
    STREAM_FEATURES,
    STREAM_LOADINGS,
    STREAM_MISSING,
    Patients,
    generator,
)
from metaswin.simulate.scanners import SCANNERS

PROXIES = {
    "tumor__texture": ("texture", 20),
    "tumor__size": ("volume", 10),
    "ring_0_10mm__density": ("peritumoral", 20),
}
"""Informative features: prefix of their names → latent variable, number of features."""

PROXY_LOADINGS = (0.9, 0.4)
"""Correlation of the first and of the last proxy of a group with its latent variable."""

VOLUME_FEATURE = "tumor__original_shape_VoxelVolume"
TUMOUR_SHARE = 0.65
"""Fraction of the noise features that belong to the tumour; the others belong to the ring."""

BLOCK = 8
BLOCK_LOADING = 0.8


def feature_table(patients: Patients, options: SimulationOptions) -> pd.DataFrame:
    """Return `patient_id`, the volume (mm³) and `options.features` - 1 more columns `<region>__<feature>`.

    A fraction `options.missing` of the patients has no ring: all features of the ring are missing.
    """
    n = len(patients)
    names, latents, loadings = _proxies()
    noise_names = _noise_names(options.features - 1 - len(names))
    blocks = -(-len(noise_names) // BLOCK)
    # There is one row per patient, so that patient i is the same for any n.
    normal = generator(STREAM_FEATURES, options.seed).standard_normal((n, len(names) + len(noise_names) + blocks))
    values = {
        "texture": patients.texture,
        "volume": patients.volume,
        "peritumoral": patients.peritumoral,
    }
    signal = np.column_stack([values[latent] for latent in latents])
    proxies = loadings * signal + np.sqrt(1 - loadings**2) * normal[:, : len(names)]
    own = normal[:, len(names) : len(names) + len(noise_names)]
    shared = np.repeat(normal[:, len(names) + len(noise_names) :], BLOCK, axis=1)[:, : len(noise_names)]
    noise = BLOCK_LOADING * shared + np.sqrt(1 - BLOCK_LOADING**2) * own
    features = np.hstack([proxies, noise])
    features += options.scanner_shift * _scanner_effects(features.shape[1])[patients.scanner]
    # Every third feature is skewed, like intensities and sizes.
    features[:, ::3] = np.exp(features[:, ::3])
    table = pd.DataFrame(features.astype(np.float32), columns=[*names, *noise_names])
    table.insert(0, VOLUME_FEATURE, np.array([total_volume(latent) for latent in patients.volume], np.float32))
    absent = generator(STREAM_MISSING, options.seed, 1).random(n) < options.missing
    table.loc[absent, [name for name in table if name.startswith("ring_")]] = np.nan
    table.insert(0, "patient_id", [study_id(index) for index in range(n)])
    return table


def _proxies() -> tuple[list[str], list[str], np.ndarray]:
    """Return names, latent variables and loadings of the informative features."""
    names, latents, loadings = [], [], []
    for prefix, (latent, count) in PROXIES.items():
        names += [f"{prefix}_{number:02d}" for number in range(1, count + 1)]
        latents += [latent] * count
        loadings.append(np.linspace(*PROXY_LOADINGS, count))
    return names, latents, np.concatenate(loadings)


def _noise_names(count: int) -> list[str]:
    tumour = round(TUMOUR_SHARE * count)
    return [
        f"{'tumor' if number < tumour else 'ring_0_10mm'}__noise_{number // BLOCK + 1:03d}_{number % BLOCK + 1}"
        for number in range(count)
    ]


def _scanner_effects(features: int) -> np.ndarray:
    """Return the shift of every feature by scanner at a scanner shift of 1, shape (scanners, features)."""
    return 0.8 * generator(STREAM_LOADINGS).standard_normal((features, len(SCANNERS))).T
