"""Settings of feature stability."""

from pydantic import Field

from metaswin.settings import Settings


class StabilitySettings(Settings):
    """Perturbed masks of a subset of the patients, and what a feature must withstand to stay.

    `patients` are drawn from the planned ones by the seed; all where there are fewer. Each is drawn anew
    `perturbations` times, moved by up to `shift` (mm) along each axis and with its contour moved in and out by a
    smooth noise of standard deviation `noise` (mm) and correlation length `smoothness` (mm); and shrunk and grown
    by `margin` (mm). A feature stays whose lower 95 % limit of the intraclass correlation is at least `min_icc` for
    both. Fewer than `min_patients` of them among the training rows: no feature is judged.
    """

    enabled: bool = True
    patients: int = Field(default=50, ge=2)
    perturbations: int = Field(default=3, ge=2)
    shift: float = Field(default=1.0, ge=0)
    noise: float = Field(default=1.0, ge=0)
    smoothness: float = Field(default=5.0, gt=0)
    margin: float = Field(default=1.0, gt=0)
    min_icc: float = Field(default=0.75, ge=0, le=1)
    min_patients: int = Field(default=10, ge=2)

    @property
    def reach(self) -> float:
        """How far a perturbed mask may reach beyond the drawn one (mm), but for one voxel in ten thousand."""
        return max(self.shift + 4 * self.noise, self.margin)
