"""Write CARD.md, which describes intended use, training data, performance and limits of the bundle."""

from collections.abc import Mapping
from typing import Any

from metaswin.core.formatting import RESEARCH_USE, days, feature_set_name, listed

SHOWN = {
    "auc": "AUC", "brier": "Brier score", "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
}  # fmt: skip


def card(facts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    facts : mapping
        ``bundle.json``.
    config : mapping
        ``config.json``.
    """
    settings = facts["settings"]
    lines = [
        "# Model card",
        "",
        f"**{RESEARCH_USE}**",
        "",
        f"- Intended use: {settings['intended_use']}",
        f"- Licence: {settings['licence']}",
        f"- Contact: {settings['contact']}",
        f"- Made by metaswin {facts['metaswin']}. Predictions need the same version.",
        f"- Input: {_input(config)}",
        "",
        "## Out of scope",
        "The models are not intended for patients unlike the training cohort (age, tumour site, stage, scanner, "
        "kernel, slice spacing). Each new patient is compared with the ranges of the training cohort, and values "
        "outside are reported. Contours that were drawn with another protocol are not detected. The weights of "
        "TotalSegmentator and an nnU-Net model are not part of this bundle.",
    ]
    for name, endpoint in facts["endpoints"].items():
        lines += ["", *_endpoint(name, endpoint, facts["confidence"])]
    lines += [
        "",
        "## Privacy",
        "The bundle contains no images, rows or ids of patients. Ids are stored as keyed hashes, and the key is in "
        "`training.json`. A person who has the bundle can therefore test whether a known id was in the training "
        "cohort. Ranges are rounded outwards. The bundle contains medians, means, covariances and percentiles of "
        "training rows. The weights of a network may still contain information about its training images. This has "
        "not been measured.",
        "",
        "## Made with",
        "",
        *(f"- {package} {version}" for package, version in facts["versions"].items()),
        "",
    ]
    return "\n".join(lines)


def _input(config: Mapping[str, Any]) -> str:
    how = {
        "dicom": "CT and tumour contours as DICOM, a clinical table",
        "nifti": "CT and tumour masks as NIfTI, a clinical table",
        "features": "a table of radiomic features, a clinical table",
        "clinical": "a clinical table",
    }
    return how[config["source"]]


def _endpoint(name: str, endpoint: Mapping[str, Any], confidence: float) -> list[str]:
    horizon = endpoint["settings"].get("horizon_days")
    what = f"first distant metastasis within {days(horizon)}" if horizon is not None else f"the outcome {name} (0/1)"
    count = len(endpoint["members"])
    lines = [
        f"## {name}",
        f"The models predict the risk of {what}. The training cohort has {endpoint['patients']} patients: "
        f"{endpoint['events']} events, {endpoint['nonevents']} non-events, and {endpoint['unknown']} with an unknown "
        "outcome, who were not used for training.",
        "",
        f"There are {count} models, one for each fold. The risk is the mean of their risks, which are recalibrated on "
        f"inner out-of-fold predictions. Classifier: {endpoint['classifier']}. Clinical columns: "
        f"{listed(list(endpoint['columns']))}.",
        "",
        "The table shows the internal performance as means over the test folds of the run, for single members, with "
        f"{confidence:.0%} intervals. The performance on other patients may be worse.",
        "",
        f"| feature set | {' | '.join(SHOWN.values())} |",
        f"|---|{'---|' * len(SHOWN)}",
    ]
    for feature_set, figures in endpoint["internal"].items():
        label = (
            f"**{feature_set_name(feature_set)}**"
            if feature_set == endpoint["primary"]
            else feature_set_name(feature_set)
        )
        lines.append(f"| {label} | {' | '.join(figure(figures[metric]) for metric in SHOWN)} |")
    lines += [
        "",
        "The feature set in bold is used for prediction. If a patient lacks a whole modality, the first other feature "
        "set that does not need this modality is used.",
    ]
    return lines


def figure(found: Mapping[str, Any]) -> str:
    """Return a text such as ``0.712 (0.601 to 0.823)``, or the reason if the value is not estimable."""
    if found["value"] is None:
        return f"not estimable ({found['why']})"
    if found["low"] is None:
        return f"{found['value']:.3f} (no interval: {found['why']})"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
