"""Sentences of the report, written from the numbers."""

from collections.abc import Mapping
from typing import Any

from metaswin.report.data import Endpoint, ReportData
from metaswin.report.numbers import ARM_NAMES, Shown, count, days, listed, part_name

# Collins, Ogundimu & Altman 2016 (Stat Med 35:214-226) and Vergouwe et al. 2005 (J Clin Epidemiol 58:475-483).
FIRM_EVENTS = 100


def outcome_words(endpoint: Endpoint) -> str:
    """What is predicted."""
    if endpoint.horizon is None:
        return f"outcome {endpoint.name}"
    deaths = ", deaths before it left out" if endpoint.facts["deaths"] == "exclude" else ""
    return f"{endpoint.name}: distant metastasis within {days(endpoint.horizon)}{deaths}"


def answer(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Three sentences: how well, against what, can it be trusted."""
    return [
        ("How well?", _how_well(endpoint)),
        ("Against what?", _against_what(endpoint)),
        ("Can it be trusted?", _trusted(endpoint)),
    ]


def _how_well(endpoint: Endpoint) -> str:
    auc, sen, spe = (endpoint.metric(endpoint.headline, endpoint.head, m) for m in ("auc", "sen", "spe"))
    joined = "joined by" if "+" in endpoint.headline else "in"
    head = {"network": "the fusion network", "logistic": "logistic regression"}.get(endpoint.head, endpoint.head)
    who = f"{_arm_in_text(endpoint.headline)} {joined} {head}"
    if auc.value is None:
        return f"With {who}, the AUC is not estimable: {auc.why}."
    text = f"With {who}, the mean AUC is {_with_interval(auc, endpoint)}"
    if sen.value is not None and spe.value is not None:
        text += f"; at the threshold fitted on training rows, sensitivity is {sen.text} and specificity {spe.text}"
    return text + "."


def _against_what(endpoint: Endpoint) -> str:
    sets = [arm for arm in endpoint.controls() if arm != "volume"]
    volume, clinical = endpoint.best([arm for arm in endpoint.controls() if arm == "volume"]), endpoint.best(sets)
    parts = []
    if volume:
        found = endpoint.metric(*volume).text
        parts.append(f"{found} with tumour volume alone ({_verdict(endpoint, volume)})")
    if clinical:
        which = (
            f"{_arm_in_text(clinical[0])}{f', the best of {len(sets)} clinical arms' if len(sets) > 1 else ' alone'}"
        )
        parts.append(f"{endpoint.metric(*clinical).text} with {which} ({_verdict(endpoint, clinical)})")
    if not parts:
        return "This run has no control to hold the answer against: neither tumour volume nor another clinical set."
    missing = "" if volume else " Tumour volume cannot be compared: this run has no arm for it."
    return f"The mean AUC is {listed(parts)}.{missing}"


def _verdict(endpoint: Endpoint, control: tuple[str, str]) -> str:
    found = endpoint.difference(*control)
    if found.value is None:
        return f"difference not estimable: {found.why}"
    if found.low is None:
        return f"difference {found.signed}, interval not estimable: {found.why}"
    better = "better" if found.low > 0 else "worse" if found.high < 0 else "not shown to be better"
    return f"difference {found.signed}, {found.signed_interval}: this model is {better}"


def _trusted(endpoint: Endpoint) -> str:
    n = endpoint.counts
    auc = endpoint.metric(endpoint.headline, endpoint.head)
    text = (
        f"It rests on {count(int(n['n']), 'patient')} with a known outcome, {int(n['events']):,} of them with the event"
    )
    if n["unknown"]:
        text += f" ({int(n['unknown']):,} more were lost before the horizon)"
    doubts = []
    if min(n["events"], n["nonevents"]) < FIRM_EVENTS:
        what = "events" if n["events"] <= n["nonevents"] else "non-events"
        doubts.append(f"fewer than {FIRM_EVENTS} {what} give no firm answer")
    if auc.low is not None and auc.low <= 0.5:
        doubts.append("the interval holds .5, the AUC of a coin")
    if auc.value is not None and auc.low is None:
        doubts.append(f"the interval is not estimable ({auc.why})")
    if endpoint.facts["warnings"]:
        doubts.append(f"{count(len(endpoint.facts['warnings']), 'warning')} of the fits should be read first")
    doubts.append("nothing here was tested on patients outside this cohort")
    return f"{text}; {listed(doubts)}."


def volume_statement(endpoint: Endpoint) -> str:
    """Whether volume alone is as good, in one sentence; empty where there is no volume arm."""
    volume = endpoint.best([arm for arm in endpoint.controls() if arm == "volume"])
    if volume is None:
        return ""
    found = endpoint.difference(*volume)
    if found.low is None:
        return f"Whether tumour volume alone is as good cannot be said: {found.why}."
    if found.low > 0:
        return "In this run the headline arm is better than tumour volume alone."
    if found.high < 0:
        return "In this run tumour volume alone is better than the headline arm."
    return (
        "These data cannot tell the headline arm from tumour volume alone: the interval of the difference holds 0, "
        "which does not show that they are equal."
    )


def label_rule(endpoint: Endpoint) -> str:
    """Definition of the label."""
    if endpoint.horizon is None:
        column = endpoint.settings.get("column") or endpoint.name
        values = ", ".join(map(str, endpoint.settings.get("positive", [1])))
        others = "0; other values are left out" if values == "1" else "any other value"
        return f"Event = column {column} is {values}; non-event = {others}. No follow-up times, no horizon."
    h = days(endpoint.horizon)
    deaths = {
        "nonevent": "or death before it without distant metastasis (a competing event, counted as a non-event)",
        "exclude": "while patients who died before it without distant metastasis are left out",
    }[endpoint.facts["deaths"]]
    return (
        f"Event = first distant metastasis within {h} of the start. Non-event = followed to the horizon without "
        f"distant metastasis, {deaths}. Lost before the horizon = unknown: left out of training; in evaluation those "
        "whose outcome is known stand in for them, by inverse-probability-of-censoring weights."
    )


def metric_note(endpoint: Endpoint) -> str:
    """What the numbers of the result tables are."""
    n = endpoint.counts
    level = f"{endpoint.confidence:.0%}"
    text = (
        f"Means over {int(n['folds'])} test folds; small print: {level} interval corrected for overlapping "
        "training sets (Nadeau & Bengio 2003)."
    )
    if endpoint.suffix:
        return text + " All but “AUC, known only” weight known outcomes by inverse probability of censoring."
    return text


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
    return _capital("; ".join(found)) + "."


def methods(data: ReportData, config: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """A paragraph on methods to paste into a manuscript."""
    folds, first = config["folds"], data.endpoints[0]
    endpoints = "; ".join(_endpoint_in_methods(endpoint) for endpoint in data.endpoints)
    repeated = f" repeated {folds['repeats']} times" if folds["repeats"] > 1 else ""
    balanced = f" and {listed(folds['stratify'])}" if folds["stratify"] else ""
    horizons = any(endpoint.suffix for endpoint in data.endpoints)
    used = [f"{name} {versions[name]}" for name in ("metaswin", "snakemake", "torch", "monai") if name in versions]
    parts = [
        f"We analysed {count(data.flow['used'], 'patient')} for {endpoints}.",
        _deaths_in_methods(data) if horizons else "",
        f"Performance was estimated by {folds['k']}-fold cross-validation{repeated}, stratified by label{balanced}; "
        "whatever learns (imputation, scaling, feature selection, networks, thresholds) was fitted on the training "
        "rows of each fold only.",
        *_features_in_methods(first.facts["modalities"], config),
        "Thresholds were fitted on inner out-of-fold predictions of the training rows "
        f"({_threshold_rule(config['evaluation'])}).",
        f"We report means over folds with {first.confidence:.0%} intervals by the corrected resampled t method "
        "(Nadeau & Bengio 2003); arms were compared by the corrected resampled t-test.",
        "Unknown outcomes were handled by inverse-probability-of-censoring weights from Kaplan–Meier estimates of the "
        "training rows (Uno et al. 2007)."
        if horizons
        else "",
        f"Software: {', '.join(used)}, Python {versions['Python']}.",
    ]
    return " ".join(part for part in parts if part)


def _endpoint_in_methods(endpoint: Endpoint) -> str:
    n = endpoint.counts
    unknown = f", {int(n['unknown']):,} unknown" if endpoint.horizon is not None else ""
    return f"{outcome_words(endpoint)} ({int(n['events']):,} events, {int(n['nonevents']):,} non-events{unknown})"


def _deaths_in_methods(data: ReportData) -> str:
    rules = {endpoint.facts["deaths"] for endpoint in data.endpoints} - {None}
    if rules == {"nonevent"}:
        return "Deaths before the horizon without distant metastasis counted as non-events."
    if rules == {"exclude"}:
        return "Patients who died before the horizon without distant metastasis were left out."
    return (
        "Deaths before the horizon without distant metastasis counted as non-events, except where stated that they "
        "were left out."
    )


def _radiomics_made(config: Mapping[str, Any]) -> str:
    """How the features came to be, in brackets of the methods paragraph."""
    if config["source"] == "features":
        return "ready table"
    radiomics = config["radiomics"]
    engine = "PyRadiomics" if radiomics["engine"] == "pyradiomics" else "PyRadiomics' definitions, metaswin's engine"
    bins = f"{radiomics['bin_count']} bins" if radiomics.get("bin_count") else f"bins of {radiomics['bin_width']:g} HU"
    return (
        f"{engine}; {config['regions']['spacing']:g} mm voxels, {bins}, image types "
        f"{', '.join(radiomics['image_types'])}"
    )


def _features_in_methods(modalities: list[str], config: Mapping[str, Any]) -> list[str]:
    selection, deep = config["selection"], config["deep"]
    parts = []
    if "radiomics" in modalities:
        parts.append(
            f"Radiomic features ({_radiomics_made(config)}) were dropped when missing in more than "
            f"{selection['max_missing']:.0%} of training rows, constant, or correlated "
            f"(|Spearman ρ| > {selection['max_correlation']:g}) with a kept one; the "
            f"{selection['keep']} ranked highest by a random forest of {selection['trees']} trees were kept."
        )
    if "deep" in modalities:
        backbone = {"swin": "3D Swin Transformer", "resnet": "3D ResNet", "densenet": "3D DenseNet"}[deep["backbone"]]
        parts.append(
            f"A {backbone} was trained on CT patches around the tumour in each fold; its score entered the fusion "
            "cross-fitted within the training rows."
        )
    if len(modalities) > 1:
        names = listed([ARM_NAMES.get(modality, modality).lower() for modality in modalities])
        parts.append(f"Modalities ({names}) were joined by a fully connected network with one encoder each;")
    else:
        parts.append("Predictions were made by a fully connected network;")
    parts.append("logistic regression served as reference.")
    return parts


def limits(data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """What the numbers do not show."""
    found = [
        "Cross-validation within one data set: performance elsewhere (other scanners, hospitals, years) is unknown.",
        "The intervals are for the mean performance of models trained on part of this cohort, not for one final model.",
        "Intervals within strata hold for these fitted models (bootstrap over patients, no refitting), and are not "
        "corrected for the number of strata; neither are the comparisons of arms.",
        "Calibration, decision curves and permutation controls are not part of this report.",
    ]
    if any(endpoint.suffix for endpoint in data.endpoints):
        found.append(
            "The censoring weights assume that loss to follow-up does not depend on the outcome; deaths are not "
            "counted as losses."
        )
    without_deaths = [endpoint.name for endpoint in data.endpoints if endpoint.facts["deaths"] == "exclude"]
    if without_deaths:
        found.append(
            f"{listed(without_deaths)}: leaving out patients who died before the horizon uses what is not known at "
            "baseline; AUCs under this rule are usually higher, and its censoring weights are estimated without these "
            "patients."
        )
    automatic = int((data.used["tumor_source"] == "nnunet").sum()) if "tumor_source" in data.used else 0
    if automatic:
        found.append(f"The contours of {count(automatic, 'patient')} were drawn automatically, by a network.")
    if "radiomics" in data.endpoints[0].facts["modalities"] and config["source"] != "features":
        found.append(
            "The set of radiomic features reconstructs the published count; the paper does not name its image types."
        )
    return found


def _threshold_rule(evaluation: Mapping[str, Any]) -> str:
    if evaluation["threshold"] == "sensitivity":
        return f"the highest one with a sensitivity of {evaluation['sensitivity']:g}"
    return "highest Youden index"


def _arm_in_text(arm: str) -> str:
    names = []
    for part in arm.split("+"):
        name = part_name(part)
        known = "clinical variables" if part == "clinical" else name[:1].lower() + name[1:]
        names.append(f"the {known}" if part.startswith("clinical:") else known)
    return listed(names)


def _with_interval(found: Shown, endpoint: Endpoint) -> str:
    return f"{found.text} ({endpoint.confidence:.0%} interval {found.interval})" if found.interval else found.text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
