"""Summarise an endpoint in three sentences: how well, against what, can it be trusted."""

from metaswin.core.formatting import Shown, count, listed, number, numbers, part_name
from metaswin.report.controls import made
from metaswin.report.data import Endpoint

# Collins, Ogundimu & Altman 2016 (Stat Med 35:214-226) and Vergouwe et al. 2005 (J Clin Epidemiol 58:475-483).
FIRM_EVENTS = 100


def summarise(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Three sentences: how well, against what, can it be trusted."""
    return [
        ("How well?", _how_well(endpoint)),
        ("Against what?", _against_what(endpoint)),
        ("Can it be trusted?", _trusted(endpoint)),
    ]


def volume_statement(endpoint: Endpoint) -> str:
    """Compare the primary feature set with tumour volume alone, in words; empty without a volume feature set."""
    volume = endpoint.volume()
    if volume is None:
        return ""
    found = endpoint.difference(*volume)
    if found.low is None or found.high is None:
        return f"The primary feature set cannot be compared with tumour volume alone: {found.why}."
    interval = f"{found.signed}, {found.signed_interval}"
    if found.low > 0:
        return f"The primary feature set is better than tumour volume alone (difference in AUC {interval})."
    if found.high < 0:
        return f"Tumour volume alone is better than the primary feature set (difference in AUC {interval})."
    return (
        f"Tumour volume alone is not shown to be worse: the interval of the difference in AUC contains 0 ({interval}). "
        "These data do not show that images, clinical data and networks add anything to it, nor that they are equal."
    )


def volume_suffices(endpoint: Endpoint) -> bool:
    """Whether the interval of the difference does not show the primary feature set to be better than tumour volume."""
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
    who = f"{_feature_set_in_text(endpoint.primary)} {joined} {classifier}"
    if auc.value is None:
        return f"With {who}, the AUC is not estimable: {auc.why}."
    text = f"With {who}, the mean AUC is {_with_interval(auc, endpoint)}"
    if sen.value is not None and spe.value is not None:
        text += f"; at the threshold fitted on training rows, sensitivity is {sen.text} and specificity {spe.text}"
    return text + "."


def _against_what(endpoint: Endpoint) -> str:
    sets = [feature_set for feature_set in endpoint.baselines() if feature_set != "volume"]
    volume, clinical = endpoint.volume(), endpoint.best_clinical()
    if not volume and not clinical:
        return "This run has no baseline: neither tumour volume nor another clinical set."
    parts = []
    if volume:
        verdict, found = _verdict(endpoint, volume)
        parts.append(f"tumour volume alone {verdict}, with a mean AUC of {endpoint.metric(*volume).text} ({found})")
    if clinical:
        verdict, found = _verdict(endpoint, clinical)
        name = _clinical_in_text(endpoint, clinical, len(sets))
        parts.append(f"{name} {verdict}, with {endpoint.metric(*clinical).text} ({found})")
    missing = "" if volume else " Tumour volume cannot be compared: this run has no feature set for it."
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}.{missing}"


def _clinical_in_text(endpoint: Endpoint, clinical: tuple[str, str], sets: int) -> str:
    name = _feature_set_in_text(clinical[0])
    row = endpoint.comparison(*clinical)
    if row is not None and row.get("family") == "confirmatory":
        return f"{name} (named in the settings)"
    return f"{name} (the best of {sets} clinical feature sets)" if sets > 1 else f"{name} alone"


def _verdict(endpoint: Endpoint, baseline: tuple[str, str]) -> tuple[str, str]:
    """What the interval of the difference says about the baseline, and the difference in numbers."""
    found = endpoint.difference(*baseline)
    if found.value is None:
        return "cannot be compared", f"difference not estimable: {found.why}"
    if found.low is None or found.high is None:
        return "cannot be compared", f"difference {found.signed}, interval not estimable: {found.why}"
    verdict = "is worse" if found.low > 0 else "is better" if found.high < 0 else "is not shown to be worse"
    return verdict, f"difference {found.signed}, {found.signed_interval}"


def _trusted(endpoint: Endpoint) -> str:
    n = endpoint.counts
    auc = endpoint.metric(endpoint.primary, endpoint.classifier)
    text = (
        f"It rests on {count(int(n['n']), 'patient')} with a known outcome, {int(n['events']):,} of them with the event"
    )
    if n["unknown"]:
        text += f" ({int(n['unknown']):,} more were censored before the horizon)"
    doubts = []
    if min(n["events"], n["nonevents"]) < FIRM_EVENTS:
        what = "events" if n["events"] <= n["nonevents"] else "non-events"
        doubts.append(f"fewer than {FIRM_EVENTS} {what} give no firm conclusion")
    if auc.low is not None and auc.low <= 0.5:
        doubts.append("the interval contains .5")
    if auc.value is not None and auc.low is None:
        doubts.append(f"the interval is not estimable ({auc.why})")
    if endpoint.facts["warnings"]:
        doubts.append(f"{count(len(endpoint.facts['warnings']), 'warning')} of the fits should be read first")
    doubts += _control_doubts(endpoint)
    doubts.append("nothing here was tested on patients outside this cohort")
    return f"{text}; {listed(doubts)}."


def _control_doubts(endpoint: Endpoint) -> list[str]:
    """What the negative controls say about the primary model."""
    doubts = []
    table = made(endpoint)
    permuted = table[(table["control"] == "permuted") & (table["feature_set"] == endpoint.primary)]
    if any(p is not None and p >= 0.05 for p in numbers(permuted.get("p", []))):
        doubts.append("the AUC is not shown to be higher than with a permuted outcome")
    shuffled = table[(table["control"] == "shuffled") & (table["feature_set"] == "radiomics")]
    for row in shuffled.to_dict("records"):
        low, high = number(row["difference_low"]), number(row["difference_high"])
        if low is not None and high is not None and low <= 0 <= high:
            doubts.append(
                "radiomics is not shown to be better than with its voxels shuffled, so texture is not shown to matter"
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
