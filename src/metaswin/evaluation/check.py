"""Check the evaluation section of a configuration before anything runs."""

from typing import TYPE_CHECKING

from metaswin.errors import suggestion
from metaswin.evaluation.settings import SCANNER

if TYPE_CHECKING:
    from metaswin.config.model import Config


def scanner_strata(config: "Config") -> list[str]:
    """Strata of `evaluation.strata` that come from the images."""
    columns = {name.strip() for name in config.clinical.columns}
    named = [name for name in config.evaluation.strata if name.strip() in SCANNER and name.strip() not in columns]
    return named if config.data.source in ("dicom", "nifti") else []


def check_evaluation(config: "Config") -> list[str]:
    """Mistakes in the confirmatory set and the bands, one message each."""
    from metaswin.fusion.arms import clinical_sets

    settings, sets = config.evaluation, clinical_sets(config.clinical)
    messages = []
    if settings.confirmatory_clinical_set is not None and settings.confirmatory_clinical_set not in sets:
        near = suggestion(settings.confirmatory_clinical_set, list(sets))
        messages.append(
            f"evaluation.confirmatory_clinical_set: there is no set {settings.confirmatory_clinical_set!r}{near}"
        )
    strata = [name.strip() for name in settings.strata]
    return messages + [
        f"evaluation.bands: {name!r} is not among evaluation.strata{suggestion(name, strata)}"
        for name in settings.bands
        if name.strip() not in strata
    ]
