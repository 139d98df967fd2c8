"""Notes and limits of the report, written from the numbers and from what was not run."""

from collections.abc import Mapping
from typing import Any

from metaswin.cohort.review import CODE_OF, HIDDEN, NONE, SHOWN
from metaswin.core.formatting import count, days, listed
from metaswin.report.controls import CONTROLS, not_made
from metaswin.report.data import Endpoint, ReportData


def outcome_words(endpoint: Endpoint) -> str:
    """What is predicted."""
    if endpoint.horizon is None:
        return f"outcome {endpoint.name}"
    deaths = ", deaths before it excluded" if endpoint.facts["deaths"] == "exclude" else ""
    return f"{endpoint.name}: distant metastasis within {days(endpoint.horizon)}{deaths}"


def label_rule(endpoint: Endpoint) -> str:
    """Definition of the label."""
    if endpoint.horizon is None:
        column = endpoint.settings.get("column") or endpoint.name
        values = ", ".join(map(str, endpoint.settings.get("positive", [1])))
        others = "0; other values are excluded" if values == "1" else "any other value"
        return f"Event = column {column} is {values}; non-event = {others}. No follow-up times, no horizon."
    h = days(endpoint.horizon)
    deaths = {
        "nonevent": "or death before it without distant metastasis (a competing event, counted as a non-event)",
        "exclude": "while patients who died before it without distant metastasis are excluded",
    }[endpoint.facts["deaths"]]
    return (
        f"Event = first distant metastasis within {h} of the start. Non-event = followed to the horizon without "
        f"distant metastasis, {deaths}. Censored before the horizon = unknown: excluded from training; in evaluation "
        "those whose outcome is known stand in for them, by inverse-probability-of-censoring weights."
    )


def metric_note(endpoint: Endpoint) -> str:
    """What the numbers of the result tables are."""
    n = endpoint.counts
    level = f"{endpoint.confidence:.0%}"
    text = (
        f"Means over {int(n['folds'])} test folds; small print: {level} interval with the variance of the "
        "test rows and of the fits."
    )
    if endpoint.suffix:
        return text + " All but “AUC, known only” weight known outcomes by inverse probability of censoring."
    return text


def division(endpoint: Endpoint, folds: Mapping[str, Any]) -> str:
    """How the patients were divided into folds; `folds` are the settings."""
    if folds["by"] is not None:
        return (
            f"leave-one-centre-out cross-validation (each level of {folds['by']} is one fold, small ones share one: "
            f"{int(endpoint.counts['folds'])} folds)"
        )
    repeated = f" repeated {folds['repeats']} times" if folds["repeats"] > 1 else ""
    balanced = f" and {listed(folds['stratify'])}" if folds["stratify"] else ""
    return f"{folds['k']}-fold cross-validation{repeated}, stratified by label{balanced}"


def training_note(endpoint: Endpoint) -> str:
    """How the deep networks stopped."""
    stopping = [record["stopping"] for record in endpoint.training]
    early, fixed = stopping.count("early"), stopping.count("fixed")
    found = []
    if fixed:
        epochs = sorted({record["epochs"] for record in endpoint.training if record["stopping"] == "fixed"})
        found.append(f"{count(fixed, 'fold')} ran a fixed number of epochs ({listed([str(e) for e in epochs])})")
    if early:
        found.append(f"{count(early, 'fold')} stopped early on rows held out of the training rows")
    return capital("; ".join(found)) + "."


REVIEWED = {
    CODE_OF[NONE]: "before predictions existed",
    CODE_OF[HIDDEN]: "after predictions existed; the viewer hid them",
    CODE_OF[SHOWN]: "after predictions were shown",
}


def limits(data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """What the numbers do not show."""
    elsewhere = (
        "Cross-validation within one data set: performance elsewhere (other scanners, hospitals, years) is unknown."
    )
    if data.endpoints[0].facts.get("by") is not None:
        elsewhere = (
            "Each centre was scored by a model that had not seen it, but all centres of this data set were collected "
            "and prepared together: performance in another data set is unknown."
        )
    found = [
        elsewhere,
        "The intervals are for the mean performance of models trained on part of this cohort, not for one final model.",
        "Intervals within strata hold for these fitted models (bootstrap over patients, no refitting), and are not "
        "corrected for the number of strata; neither are comparisons other than the confirmatory ones.",
    ]
    if any(endpoint.suffix for endpoint in data.endpoints):
        found.append(
            "The censoring weights assume that loss to follow-up does not depend on the outcome; deaths are not "
            "counted as losses."
        )
    without_deaths = [endpoint.name for endpoint in data.endpoints if endpoint.facts["deaths"] == "exclude"]
    if without_deaths:
        found.append(
            f"{listed(without_deaths)}: excluding patients who died before the horizon uses what is not known at "
            "baseline; AUCs under this rule are usually higher, and its censoring weights are estimated without these "
            "patients."
        )
    if data.late:
        found.append(
            f"A reviewer excluded {count(len(data.late), 'patient')} after predictions existed (“Cohort”). Such "
            "exclusions can make the results look better than they are."
        )
    automatic = int((data.used["tumor_source"] == "nnunet").sum()) if "tumor_source" in data.used else 0
    if automatic:
        found.append(f"The contours of {count(automatic, 'patient')} were drawn automatically, by a network.")
    if "radiomics" in data.endpoints[0].facts["modalities"] and config["source"] != "features":
        found.append(
            "The set of radiomic features reconstructs the published count; the paper does not name its image types."
        )
    return found


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


# Evidence by the table that carries it.
EVIDENCE = {
    "calibration": "Calibration",
    "decision": "Decision curves",
    "sample_size": "Criteria of sample size",
    "delong": "DeLong intervals",
    "survival": "Time-to-event models",
    "optimism": "Optimism of the fusion (training against inner and test AUC)",
    "shap_modalities": "Explanation (SHAP)",
    "site": "Association of site or scanner and outcome",
}


def not_run(endpoint: Endpoint, data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """What this run does not have for an endpoint, each with the reason where it is known."""
    missing = {title: "" for name, title in EVIDENCE.items() if endpoint.rows(name) is None}
    if endpoint.facts["deaths"] != "nonevent":
        missing.pop(EVIDENCE["survival"], None)
    elif not config["survival"]["enabled"] and EVIDENCE["survival"] in missing:
        missing[EVIDENCE["survival"]] = "setting survival.enabled: false"
    if EVIDENCE["site"] in missing and "site" in endpoint.tables:
        missing[EVIDENCE["site"]] = "nothing is known of scanner or batch"
    missing |= {f"Negative control “{CONTROLS[name][0]}”": why for name, why in not_made(endpoint).items()}
    if "radiomics" in endpoint.facts["modalities"]:
        if endpoint.rows("stability") is None:
            missing["Stability of features under perturbed masks"] = ""
        if config["harmonisation"]["method"] == "none":
            missing["Harmonisation of scanners"] = "setting harmonisation.method: none"
    if not data.qc_images:
        missing["QC images"] = "no images" if config["source"] not in ("dicom", "nifti") else ""
    return [f"{title} ({why})" if why else title for title, why in missing.items()]
