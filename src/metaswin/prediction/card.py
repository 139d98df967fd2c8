"""CARD.md: what the bundle is for, what it was trained on, how well it did, what it is not."""

from collections.abc import Mapping
from typing import Any

from metaswin.core.formatting import RESEARCH_USE, days, feature_set_name, listed

SHOWN = {
    "auc": "AUC", "brier": "Brier score", "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
}  # fmt: skip


def card(facts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The card as Markdown.

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
        f"- Made by metaswin {facts['metaswin']}; the same version is needed to predict.",
        f"- Input: {_input(config)}",
        "",
        "## Out of its scope",
        "Patients unlike the training cohort (age, tumour site, stage, scanner, kernel, slice spacing): each new "
        "patient is checked against its ranges, and what lies outside is said. Contours drawn after another protocol "
        "are not noticed. No weights of TotalSegmentator and no nnU-Net model are part of this bundle.",
    ]
    for name, endpoint in facts["endpoints"].items():
        lines += ["", *_endpoint(name, endpoint, facts["confidence"])]
    lines += [
        "",
        "## Privacy",
        "No image, row or id of a patient is in the bundle. Ids are keyed hashes, with their key in `training.json`: "
        "anyone who has the bundle can test whether a known id was in the training cohort. Ranges are rounded "
        "outwards. Medians, means, covariances and percentiles over training rows are in it. The weights of a network "
        "may still contain information on its training images; this has not been measured.",
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
        f"Predicted: the risk of {what}. Trained on {endpoint['patients']} patients: {endpoint['events']} events, "
        f"{endpoint['nonevents']} non-events, {endpoint['unknown']} with an unknown outcome (never trained on).",
        "",
        f"{count} models, one for each fold: the risk is the mean of theirs, each recalibrated on inner out-of-fold "
        f"predictions. Classifier: {endpoint['classifier']}. Clinical columns: {listed(list(endpoint['columns']))}.",
        "",
        "Internal performance: means over the test folds of the run, for single members; what is "
        f"measured on other patients may be worse. {confidence:.0%} intervals.",
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
        "The feature set in bold predicts. For a patient without a whole modality, the first of the others that does "
        "not need it predicts.",
    ]
    return lines


def figure(found: Mapping[str, Any]) -> str:
    """``0.712 (0.601 to 0.823)``, or that it is not estimable and why."""
    if found["value"] is None:
        return f"not estimable ({found['why']})"
    if found["low"] is None:
        return f"{found['value']:.3f} (no interval: {found['why']})"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
