"""Summarise an endpoint in three short texts: performance, comparison with baselines, and reliability."""

from metaswin.core.formatting import Shown, count, listed, number, numbers, part_name
from metaswin.report.controls import made
from metaswin.report.data import Endpoint

# Collins, Ogundimu & Altman 2016 (Stat Med 35:214-226) and Vergouwe et al. 2005 (J Clin Epidemiol 58:475-483).
FIRM_EVENTS = 100
# Two one-sided tests at 5 %: the limits of the 90 % interval.
ONE_SIDED = 1.6448536269514722


def summarise(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Describe performance, comparison with baselines, and reliability in short sentences."""
    return [
        ("Performance", _how_well(endpoint)),
        ("Comparison with baselines", _against_what(endpoint)),
        ("Reliability", _trusted(endpoint)),
    ]


def volume_statement(endpoint: Endpoint) -> str:
    """Compare the primary model with tumour volume alone; return an empty text without a volume feature set."""
    volume = endpoint.volume()
    return "" if volume is None else comparison(endpoint, volume, "tumour volume alone")


def comparison(endpoint: Endpoint, baseline: tuple[str, str], name: str) -> str:
    """Compare the primary model with a baseline, in the same words for every baseline.

    The text says "better" or "worse" if the interval of the difference does not contain 0. It says "equivalent" if
    two one-sided tests with the margin of the configuration show it (Schuirmann 1987, J Pharmacokinet Biopharm
    15:657-680).
    """
    found = endpoint.difference(*baseline)
    auc = endpoint.metric(*baseline).text
    if found.value is None:
        return f"The primary model cannot be compared with {name}: {found.why}."
    if found.low is None or found.high is None:
        return f"No difference from {name} (AUC {auc}) is shown: the interval is not estimable ({found.why})."
    numbers = f"difference {found.signed}, {endpoint.confidence:.0%} interval {found.signed_interval}"
    if found.low > 0:
        text = f"The primary model is better than {name} (AUC {auc}; {numbers})."
    elif found.high < 0:
        text = f"The primary model is worse than {name} (AUC {auc}; {numbers})."
    else:
        text = f"No difference from {name} (AUC {auc}) is shown ({numbers})."
    return text + _equivalence(endpoint, baseline)


def _equivalence(endpoint: Endpoint, baseline: tuple[str, str]) -> str:
    row, margin = endpoint.comparison(*baseline), endpoint.margin
    error = None if row is None else number(row.get("error", float("nan")))
    if row is None or error is None or margin is None:
        return ""
    low, high = (float(row["value"]) + side * ONE_SIDED * error for side in (-1, 1))
    if low <= -margin or high >= margin:
        return ""
    interval = Shown(float(row["value"]), low, high).signed_interval
    return f" The two are equivalent within {margin:g} (90% interval {interval})."


def volume_suffices(endpoint: Endpoint) -> bool:
    """Return whether the primary feature set is not shown to be better than tumour volume.

    This is the case if the interval of the difference is estimable and is not above 0.
    """
    volume = endpoint.volume()
    if volume is None:
        return False
    found = endpoint.difference(*volume)
    return found.low is not None and found.low <= 0


def _how_well(endpoint: Endpoint) -> str:
    auc, sen, spe = (endpoint.metric(endpoint.primary, endpoint.classifier, m) for m in ("auc", "sen", "spe"))
    joined = "joined by" if "+" in endpoint.primary else "in"
    classifier = {"network": "the fusion network", "logistic": "logistic regression"}.get(
        endpoint.classifier, endpoint.classifier
    )
    model = f"{_feature_set_in_text(endpoint.primary)} {joined} {classifier}"
    if auc.value is None:
        return f"With {model}, the AUC is not estimable: {auc.why}."
    text = f"With {model}, the mean AUC is {_with_interval(auc, endpoint)}."
    if sen.value is not None and spe.value is not None:
        text += f" At the threshold fitted on training rows, sensitivity is {sen.text} and specificity is {spe.text}."
    return text


def _against_what(endpoint: Endpoint) -> str:
    sets, volume, clinical = endpoint.clinical_sets(), endpoint.volume(), endpoint.best_clinical()
    if not endpoint.baselines():
        return "This run has no baseline, because it has neither tumour volume nor another clinical set."
    sentences = [volume_statement(endpoint) if volume else "This run has no feature set of tumour volume."]
    if clinical:
        sentences.append(comparison(endpoint, clinical, _clinical_in_text(endpoint, clinical, len(sets))))
    for signature in endpoint.published():
        name = endpoint.label(signature[0]).removeprefix("Signature: ")
        sentences.append(comparison(endpoint, signature, f"the published signature {name}"))
    return " ".join(sentences)


def _clinical_in_text(endpoint: Endpoint, clinical: tuple[str, str], sets: int) -> str:
    name = _feature_set_in_text(clinical[0])
    row = endpoint.comparison(*clinical)
    if row is not None and row.get("family") == "confirmatory":
        return f"{name}, named in the settings"
    return f"{name}, the best of {sets} clinical sets" if sets > 1 else f"{name} alone"


def _trusted(endpoint: Endpoint) -> str:
    n = endpoint.counts
    auc = endpoint.metric(endpoint.primary, endpoint.classifier)
    sentences = [
        f"The result is based on {count(int(n['n']), 'patient')}, {int(n['events']):,} of them with the event."
    ]
    if n["unknown"]:
        sentences.append(f"{int(n['unknown']):,} more were censored before the horizon.")
    if min(n["events"], n["nonevents"]) < FIRM_EVENTS:
        what = "events" if n["events"] <= n["nonevents"] else "non-events"
        sentences.append(f"Fewer than {FIRM_EVENTS} {what} do not allow a firm conclusion.")
    if auc.low is not None and auc.low <= 0.5:
        sentences.append("The interval of the AUC contains .5.")
    if auc.value is not None and auc.low is None:
        sentences.append(f"The interval of the AUC is not estimable ({auc.why}).")
    if warnings := endpoint.facts["warnings"]:
        sentences.append(f"The fits gave {count(len(warnings), 'warning')}. Read the warnings in “Cohort” first.")
    sentences += _control_doubts(endpoint)
    sentences.append("The model was not tested on patients outside this cohort.")
    return " ".join(sentences)


def _control_doubts(endpoint: Endpoint) -> list[str]:
    """Return the doubts about the primary model that follow from the negative controls."""
    doubts = []
    table = made(endpoint)
    permuted = table[(table["control"] == "permuted") & (table["feature_set"] == endpoint.primary)]
    if any(p is not None and p >= 0.05 for p in numbers(permuted.get("p", []))):
        doubts.append("The AUC is not shown to be higher than with a permuted outcome.")
    shuffled = table[(table["control"] == "shuffled") & (table["feature_set"] == "radiomics")]
    for row in shuffled.to_dict("records"):
        low, high = number(row["difference_low"]), number(row["difference_high"])
        if low is not None and high is not None and low <= 0 <= high:
            doubts.append(
                "Radiomics is not shown to be better than with shuffled voxels. Therefore the model is not shown to "
                "use texture."
            )
    return doubts


def _with_interval(found: Shown, endpoint: Endpoint) -> str:
    return f"{found.text} ({endpoint.confidence:.0%} interval {found.interval})" if found.interval else found.text


def _feature_set_in_text(feature_set: str) -> str:
    names = []
    for part in feature_set.split("+"):
        name = part_name(part)
        known = "clinical variables" if part == "clinical" else name[:1].lower() + name[1:]
        names.append(f"the {known}" if part.startswith("clinical:") else known)
    return listed(names)
