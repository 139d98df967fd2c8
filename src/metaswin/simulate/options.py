"""Define the options and presets of the simulator."""

from typing import Literal

from pydantic import Field

from metaswin.core.settings import Settings

Site = Literal["oropharynx", "larynx", "oral cavity", "hypopharynx", "nasopharynx"]

HORIZON_YEARS = 2.0
DAYS_PER_YEAR = 365.0


class Coefficients(Settings):
    """Log hazard ratios of distant metastasis, per standard deviation of each variable (see `population`).

    `subtype` and `centre` multiply fixed contrasts between tumour sites and between scanners
    (`population.SITE_CONTRAST`, `population.CENTRE_CONTRAST`). The defaults are the preset ``reference``.
    """

    texture: float = 0.50
    volume: float = 0.35
    peritumoral: float = 0.66
    nodes: float = 0.46
    smoking: float = 0.38
    age: float = 0.32
    subtype: float = 0.0
    centre: float = 0.0


class DeathCoefficients(Settings):
    """Hazard of death without metastasis: `rate` per year and log hazard ratios.

    `age` and `smoking` are per standard deviation, `hpv` is for HPV-positive against all others.
    """

    rate: float = Field(default=0.06, ge=0)
    age: float = 0.5
    smoking: float = 0.3
    hpv: float = -0.6


class SimulationOptions(Settings):
    """Options of a simulation.

    Attributes
    ----------
    n : int
        Number of patients. Patient i is the same for any `n`.
    seed : int
        All random numbers derive from it.
    preset : str
        Name of the preset from which the options were made; it is only recorded.
    level : {"dicom", "table"}
        Whether to write CT series and contours, or to draw features directly.
    matrix : int
        Rows and columns of a slice; the field of view (about 210 mm) does not change.
    coverage : float
        Length of the scan (mm); the number of slices follows from the slice distance of the scanner.
    prevalence : float
        Cumulative incidence of metastasis at two years in the population; deaths are non-events.
    coefficients, death : Coefficients, DeathCoefficients
        Cause-specific hazards.
    texture_volume_correlation : float
        Correlation of the texture latent with the log-volume latent.
    subtypes : tuple of str
        Tumour sites that occur; empty means all. Cohorts with restricted sites have no unknown primaries.
    unknown_primary : float
        Fraction of patients with involved nodes only.
    scanner_shift : float
        Strength of the scanners' differences in blur, noise and HU; 0 means none, 1 means those of their kernels.
    missing : float
        Fraction of missing cells in the incomplete clinical columns, and of missing rings at table level.
    loss_rate : float
        Hazard of loss to follow-up per year.
    extra_series : float
        Fraction of patients with a second, sharp reconstruction that no contour references.
    features : int
        Number of features at table level.
    draws : int
        Number of draws for the population AUCs.
    """

    n: int = Field(default=40, ge=1)
    seed: int = Field(default=1, ge=0)
    preset: str = "reference"
    level: Literal["dicom", "table"] = "dicom"
    matrix: int = Field(default=96, ge=48, le=1024)
    coverage: float = Field(default=120.0, ge=90.0, le=160.0)
    prevalence: float = Field(default=0.22, gt=0.0, lt=0.8)
    coefficients: Coefficients = Coefficients()
    death: DeathCoefficients = DeathCoefficients()
    texture_volume_correlation: float = Field(default=0.3, gt=-1.0, lt=1.0)
    subtypes: tuple[Site, ...] = ()
    unknown_primary: float = Field(default=0.03, ge=0.0, le=1.0)
    scanner_shift: float = Field(default=0.3, ge=0.0, le=3.0)
    missing: float = Field(default=0.0, ge=0.0, lt=1.0)
    loss_rate: float = Field(default=0.04, ge=0.0)
    extra_series: float = Field(default=0.15, ge=0.0, le=1.0)
    features: int = Field(default=300, ge=100)
    draws: int = Field(default=1_000_000, ge=1_000)


_NO_EFFECT = dict.fromkeys(Coefficients.model_fields, 0.0)

PRESETS: dict[str, dict] = {
    "reference": {},
    # Texture is correlated with volume but adds no information to it: a model should not gain from radiomics.
    "volume-only": {"coefficients": {**_NO_EFFECT, "volume": 1.0}, "texture_volume_correlation": 0.6},
    "null": {"coefficients": _NO_EFFECT, "death": {"age": 0.0, "smoking": 0.0, "hpv": 0.0}},
    # Centres differ in their images and in their patients' risk, so the scanner itself predicts the outcome.
    "batch": {"coefficients": {"centre": 0.6}, "scanner_shift": 1.0},
    # The risk is strong and frequent enough to be visible in a few dozen patients; volume alone contains little of it.
    "demo": {
        "prevalence": 0.6,
        "coefficients": {"texture": 2.5, "volume": 0.3, "peritumoral": 1.0, "nodes": 0.9},
    },
}


def preset_options(name: str, **changes) -> SimulationOptions:
    """Return the options of the preset `name` with `changes`; raise `KeyError` for an unknown preset."""
    return SimulationOptions(**{**PRESETS[name], "preset": name, **changes})
