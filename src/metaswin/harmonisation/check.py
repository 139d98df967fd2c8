"""Check the harmonisation section of a configuration before anything runs."""

from typing import TYPE_CHECKING

from metaswin.errors import suggestion
from metaswin.harmonisation.settings import ACQUISITION

if TYPE_CHECKING:
    from metaswin.config.model import Config

PREDICTIVE = ("baseline", "treatment")


def check_harmonisation(config: "Config") -> list[str]:
    """Mistakes in the batch and the covariates, one message each."""
    settings = config.harmonisation
    if settings.method == "none":
        return []
    if config.data.source == "clinical":
        return ["harmonisation.method: data.source clinical has no features to harmonise; set it to none"]
    acquisition = list(ACQUISITION) if config.data.source in ("dicom", "nifti") else []
    messages = _column(config, "batch", settings.batch, acquisition)
    for name in settings.covariates:
        messages += _column(config, "covariates", name, [])
        if name.strip() == settings.batch.strip():
            messages.append(f"harmonisation.covariates: {name!r} is the batch itself; leave it out")
    return messages


def _column(config: "Config", key: str, name: str, others: list[str]) -> list[str]:
    """Why a column may not be named at `key`; nothing where it may."""
    roles = {column.strip(): settings.role for column, settings in config.clinical.columns.items()}
    outcomes = {column.strip() for endpoint in config.endpoints.values() for column in endpoint.columns}
    role = roles.get(name.strip())
    if name.strip() in outcomes or role in ("outcome", "time"):
        return [
            f"harmonisation.{key}: {name!r} is an outcome; features harmonised with it would carry the outcome into "
            "the models and let them look better than they are. Name columns known before it"
        ]
    if name.strip() in others or role in PREDICTIVE:
        return []
    known = [*others, *(column for column, its_role in roles.items() if its_role in PREDICTIVE)]
    what = f"has the role {role}" if role else "has no role in clinical.columns"
    return [f"harmonisation.{key}: {name!r} {what}, but baseline (or treatment) is needed{suggestion(name, known)}"]
