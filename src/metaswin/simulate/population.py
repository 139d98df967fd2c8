"""Draw the population row by row: latent variables and baseline characteristics.

Each patient has one row of a matrix, with one uniform number for each variable. Some variables, such as texture and
T stage, also depend on other variables. The generator fills the matrix row by row, so row i is the same for any number
of rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from metaswin.simulate.options import SimulationOptions

UNIFORMS = (
    *("volume", "texture", "peritumoral", "site", "unknown", "nodes", "smoking", "pack_years", "age", "sex"),
    *("alcohol", "hpv", "t_stage", "treatment", "scanner", "contrast", "start", "scan"),
    *("dm", "death", "death_after_dm", "administrative", "loss"),
)

SITES = ("oropharynx", "larynx", "oral cavity", "hypopharynx", "nasopharynx")
UNKNOWN_PRIMARY = "unknown primary"
SITE_SHARES = np.array([0.45, 0.25, 0.12, 0.08, 0.10])
SITE_CONTRAST = np.array([0.0, -1.0, 0.0, 1.0, 1.0, 0.5])
"""Risk contrast of the sites, in the order of `SITES` and then unknown primary."""

SCANNER_SHARES = np.array([0.35, 0.30, 0.20, 0.15])
CENTRE_CONTRAST = np.array([1.0, -1.0, 0.5, -0.5])
"""Risk contrast of the centres, in the order of `scanners.SCANNERS`."""

N_SHARES = np.array([0.30, 0.20, 0.42, 0.08])
T_SHARES = np.array([0.20, 0.35, 0.28, 0.17])
SMOKING = ("never", "former", "current")
SMOKING_SHARES = np.array([0.30, 0.40, 0.30])
ALCOHOL = ("none", "moderate", "heavy")
ALCOHOL_SHARES = np.array([0.35, 0.40, 0.25])
MALE_SHARE = 0.78
AGE_MEAN, AGE_SD, AGE_RANGE = 61.0, 10.0, (25.0, 92.0)
HPV_SHARES = np.array([0.75, 0.65, 0.50])
"""Fraction of HPV-positive oropharyngeal tumours in never, former and current smokers; other sites are negative."""

# Each purpose has its own stream, so that no two generators are equal for any seed and index.
STREAM_COHORT, STREAM_POPULATION, STREAM_IMAGE, STREAM_FEATURES, STREAM_MISSING, STREAM_LOADINGS = range(1, 7)


def generator(stream: int, *keys: int) -> np.random.Generator:
    """Return a separate generator for a purpose (`stream`) and keys such as seed and patient index."""
    return np.random.default_rng([stream, *keys])


def draw_uniforms(stream: int, seed: int, n: int) -> dict[str, np.ndarray]:
    """Return one uniform number per patient and variable of `UNIFORMS`, each array of shape (n,)."""
    rows = np.clip(generator(stream, seed).random((n, len(UNIFORMS))), 1e-12, 1 - 1e-12)
    return dict(zip(UNIFORMS, rows.T, strict=True))


@dataclass(frozen=True)
class Patients:
    """Baseline characteristics of n patients; every attribute is an array of shape (n,).

    `texture`, `volume` and `peritumoral` are standard normal latent variables. `site`, `smoking`, `scanner` and
    `alcohol` are indices. `n_stage` is 0–3, `t_stage` is 1–4 (0 if the primary is unknown), and `age` is in years.
    """

    texture: np.ndarray
    volume: np.ndarray
    peritumoral: np.ndarray
    site: np.ndarray
    n_stage: np.ndarray
    t_stage: np.ndarray
    smoking: np.ndarray
    pack_years: np.ndarray
    age: np.ndarray
    male: np.ndarray
    alcohol: np.ndarray
    hpv: np.ndarray
    chemotherapy: np.ndarray
    scanner: np.ndarray

    def __len__(self) -> int:
        return len(self.texture)

    def standardised(self) -> dict[str, np.ndarray]:
        """Return the variables of the risk on the scale of its coefficients, each of shape (n,)."""
        return {
            "texture": self.texture,
            "volume": self.volume,
            "peritumoral": self.peritumoral,
            "nodes": _standardise(self.n_stage, N_SHARES),
            "smoking": _standardise(self.smoking, SMOKING_SHARES),
            "age": (self.age - AGE_MEAN) / AGE_SD,
            "subtype": SITE_CONTRAST[self.site],
            "centre": CENTRE_CONTRAST[self.scanner],
        }


def draw_patients(uniforms: dict[str, np.ndarray], options: SimulationOptions) -> Patients:
    """Return the baseline characteristics of the patients with `uniforms` (from `draw_uniforms`)."""
    volume = ndtri(uniforms["volume"])
    r = options.texture_volume_correlation
    site = _draw_site(uniforms, options)
    unknown = site == len(SITES)
    n_stage = _category(uniforms["nodes"], N_SHARES)
    n_stage = np.where(unknown, np.maximum(n_stage, 1), n_stage)
    t_score = np.sqrt(0.5) * (volume + ndtri(uniforms["t_stage"]))
    t_stage = np.where(unknown, 0, 1 + np.searchsorted(ndtri(np.cumsum(T_SHARES)[:-1]), t_score))
    smoking = _category(uniforms["smoking"], SMOKING_SHARES)
    packs = np.exp(np.array([0.0, 3.0, 3.5])[smoking] + 0.5 * ndtri(uniforms["pack_years"]))
    return Patients(
        texture=r * volume + np.sqrt(1 - r**2) * ndtri(uniforms["texture"]),
        volume=volume,
        peritumoral=ndtri(uniforms["peritumoral"]),
        site=site,
        n_stage=n_stage,
        t_stage=t_stage,
        smoking=smoking,
        pack_years=np.where(smoking == 0, 0.0, np.round(packs)),
        age=np.round(np.clip(AGE_MEAN + AGE_SD * ndtri(uniforms["age"]), *AGE_RANGE), 1),
        male=uniforms["sex"] < MALE_SHARE,
        alcohol=_category(uniforms["alcohol"], ALCOHOL_SHARES),
        hpv=(site == SITES.index("oropharynx")) & (uniforms["hpv"] < HPV_SHARES[smoking]),
        chemotherapy=((t_stage >= 3) | (n_stage >= 1)) & (uniforms["treatment"] < 0.75),
        scanner=_category(uniforms["scanner"], SCANNER_SHARES),
    )


def _draw_site(uniforms: dict[str, np.ndarray], options: SimulationOptions) -> np.ndarray:
    chosen = options.subtypes or SITES
    shares = np.where([name in chosen for name in SITES], SITE_SHARES, 0.0)
    site = _category(uniforms["site"], shares / shares.sum())
    if options.subtypes:
        return site
    return np.where(uniforms["unknown"] < options.unknown_primary, len(SITES), site)


def _category(uniform: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the index of the category of each uniform number; a category with share 0 never occurs."""
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right")


def _standardise(index: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the category index as a score with mean 0 and standard deviation 1 under `shares`."""
    values = np.arange(len(shares))
    mean = shares @ values
    return (index - mean) / np.sqrt(shares @ (values - mean) ** 2)
