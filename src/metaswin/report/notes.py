"""Write the notes and limits of the report from its numbers and from what was not run."""

from collections.abc import Mapping
from typing import Any

from metaswin.cohort.review import CODE_OF, HIDDEN, NONE, SHOWN
from metaswin.core.formatting import count, days, listed
from metaswin.report.controls import CONTROLS, not_made
from metaswin.report.data import Endpoint, ReportData


def outcome_words(endpoint: Endpoint) -> str:
    """Describe what is predicted."""
    if endpoint.horizon is None:
        return f"outcome {endpoint.name}"
    deaths = ", deaths before it excluded" if endpoint.facts["deaths"] == "exclude" else ""
    return f"{endpoint.name}: distant metastasis within {days(endpoint.horizon)}{deaths}"


def label_rule(endpoint: Endpoint) -> str:
    """Define the label in words."""
    if endpoint.horizon is None:
        column = endpoint.settings.get("column") or endpoint.name
        values = ", ".join(map(str, endpoint.settings.get("positive", [1])))
        others = "0. Other values are excluded" if values == "1" else "any other value"
        return f"Event: column {column} is {values}. Non-event: {others}. There are no follow-up times and no horizon."
    h = days(endpoint.horizon)
    deaths = {
        "nonevent": "or died before it without distant metastasis (a competing event, counted as a non-event).",
        "exclude": "Patients who died before it without distant metastasis are excluded.",
    }[endpoint.facts["deaths"]]
    separator = ". " if endpoint.facts["deaths"] == "exclude" else ", "
    return (
        f"Event: first distant metastasis within {h} of the start. Non-event: followed to the horizon without "
        f"distant metastasis{separator}{deaths} Unknown: censored before the horizon. Patients with an unknown label "
        "are excluded from training. In the evaluation, inverse-probability-of-censoring weights let the patients "
        "with a known label represent them."
    )


def metric_note(endpoint: Endpoint) -> str:
    """Describe the numbers in the result tables."""
    n = endpoint.counts
    level = f"{endpoint.confidence:.0%}"
    text = (
        f"The numbers are means over {int(n['folds'])} test folds. The small print is the {level} interval, with the "
        "variance of the test rows and of the fits."
    )
    if endpoint.suffix:
        return text + " Known outcomes are weighted by inverse probability of censoring, except in “AUC, known only”."
    return text


def division(endpoint: Endpoint, folds: Mapping[str, Any]) -> str:
    """Describe how the patients were divided into folds; `folds` are the settings."""
    if folds["by"] is not None:
        return (
            f"leave-one-centre-out cross-validation with {int(endpoint.counts['folds'])} folds (each level of "
            f"{folds['by']} is one fold, and small levels share one fold)"
        )
    repeated = f" repeated {folds['repeats']} times" if folds["repeats"] > 1 else ""
    balanced = f" and {listed(folds['stratify'])}" if folds["stratify"] else ""
    return f"{folds['k']}-fold cross-validation{repeated}, stratified by label{balanced}"


def training_note(endpoint: Endpoint) -> str:
    """Describe how the training of the deep networks stopped."""
    stopping = [record["stopping"] for record in endpoint.training]
    early, fixed = stopping.count("early"), stopping.count("fixed")
    found = []
    guided = [record for record in endpoint.training if record["epochs"] == 0]
    if guided:
        found.append(
            f"In {count(len(guided), 'fold')}, the network learned radiomics components only. The outcome was fitted "
            "by logistic regression."
        )
    if fixed > len(guided):
        epochs = sorted({record["epochs"] for record in endpoint.training if record["stopping"] == "fixed"} - {0})
        found.append(
            f"In {count(fixed - len(guided), 'fold')}, training on the outcome ran a fixed number of epochs "
            f"({listed([str(e) for e in epochs])})."
        )
    if early:
        found.append(f"In {count(early, 'fold')}, training stopped early on held-out training rows.")
    return " ".join(found)


REVIEWED = {
    CODE_OF[NONE]: "before predictions existed",
    CODE_OF[HIDDEN]: "after predictions existed; the viewer hid them",
    CODE_OF[SHOWN]: "after predictions were shown",
}


def limits(data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """Return what the numbers do not show."""
    elsewhere = (
        "The models were cross-validated within one data set. Their performance elsewhere (other scanners, hospitals, "
        "years) is unknown."
    )
    if data.endpoints[0].facts.get("by") is not None:
        elsewhere = (
            "Each centre was predicted by a model that was not trained on it. However, all centres of this data set "
            "were collected and prepared together. The performance in another data set is unknown."
        )
    found = [
        elsewhere,
        "The intervals are for the mean performance of models trained on part of this cohort, not for one final model.",
        "Intervals within strata apply to these fitted models (bootstrap over patients, no refitting). They are not "
        "corrected for the number of strata. Comparisons other than the confirmatory ones are not corrected for "
        "multiple testing.",
    ]
    if any(endpoint.suffix for endpoint in data.endpoints):
        found.append(
            "The censoring weights assume that loss to follow-up does not depend on the outcome. Deaths are not "
            "counted as loss to follow-up."
        )
    without_deaths = [endpoint.name for endpoint in data.endpoints if endpoint.facts["deaths"] == "exclude"]
    if without_deaths:
        found.append(
            f"{listed(without_deaths)}: excluding patients who died before the horizon uses information that is not "
            "known at baseline. AUCs under this rule are usually higher. Its censoring weights are estimated without "
            "these patients."
        )
    if data.late:
        found.append(
            f"A reviewer excluded {count(len(data.late), 'patient')} after predictions existed (“Cohort”). Such "
            "exclusions can make the results look better than they are."
        )
    automatic = int((data.used["tumor_source"] == "nnunet").sum()) if "tumor_source" in data.used else 0
    if automatic:
        found.append(f"The contours of {count(automatic, 'patient')} were drawn automatically by a network.")
    if "radiomics" in data.endpoints[0].facts["modalities"] and config["source"] != "features":
        found.append(
            "The set of radiomic features reproduces the published count. The paper does not name its image types."
        )
    return found


def capital(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


# Titles of the evidence, by the table that contains it.
EVIDENCE = {
    "calibration": "Calibration",
    "decision": "Decision curves",
    "sample_size": "Sample size criteria",
    "delong": "DeLong intervals",
    "survival": "Time-to-event models",
    "optimism": "Optimism of the fusion (training, inner and test AUC)",
    "shap_modalities": "Explanation (SHAP)",
    "site": "Association of site or scanner and outcome",
}


def not_run(endpoint: Endpoint, data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """List what this run does not have for an endpoint, each with the reason if it is known."""
    missing = {title: "" for name, title in EVIDENCE.items() if endpoint.rows(name) is None}
    if endpoint.facts["deaths"] != "nonevent":
        missing.pop(EVIDENCE["survival"], None)
    elif not config["survival"]["enabled"] and EVIDENCE["survival"] in missing:
        missing[EVIDENCE["survival"]] = "setting survival.enabled: false"
    if EVIDENCE["site"] in missing and "site" in endpoint.tables:
        missing[EVIDENCE["site"]] = "scanner and batch are unknown"
    missing |= {f"Negative control “{CONTROLS[name][0]}”": why for name, why in not_made(endpoint).items()}
    if "radiomics" in endpoint.facts["modalities"]:
        if endpoint.rows("stability") is None:
            missing["Stability of features under perturbed masks"] = ""
        if config["harmonisation"]["method"] == "none":
            missing["Harmonisation of scanners"] = "setting harmonisation.method: none"
    if not data.qc_images:
        missing["QC images"] = "no images" if config["source"] not in ("dicom", "nifti") else ""
    return [f"{title} ({why})" if why else title for title, why in missing.items()]
