"""Format numbers, names and durations for the report."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

RESEARCH_USE = "For research only. This is not a medical device. Do not use it for decisions about patients."
FEATURE_SET_NAMES = {
    "clinical": "Clinical",
    "radiomics": "Radiomics",
    "peri_radiomics": "Peritumoral radiomics",
    "deep": "Deep features",
    "embedding": "Embedding",
    "anatomy": "Anatomy",
    "volume": "Tumour volume",
}
# Prefix of a published signature among the feature sets, and the name that replaces its classifier.
SIGNATURE = "signature:"
PUBLISHED = "published"
CLASSIFIER_NAMES = {"network": "Network", "logistic": "Logistic regression", PUBLISHED: "Published formula"}
DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Shown:
    """A number with its interval as the report shows it; without a value, "not estimable" and the reason are shown."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""

    @property
    def text(self) -> str:
        return "not estimable" if self.value is None else _minus(f"{self.value:.3f}")

    @property
    def interval(self) -> str:
        return "" if self.low is None or self.high is None else _minus(f"{self.low:.3f} to {self.high:.3f}")

    @property
    def signed(self) -> str:
        """The value as a difference, with its sign."""
        return "not estimable" if self.value is None else _signed(self.value)

    @property
    def signed_interval(self) -> str:
        return "" if self.low is None or self.high is None else f"{_signed(self.low)} to {_signed(self.high)}"


def shown(row: Mapping[str, Any], name: str) -> Shown:
    """Return the metric `name` of a table row with the columns ``name, name_low, name_high, name_why``."""
    value, low, high = (number(row[f"{name}{limit}"]) for limit in ("", "_low", "_high"))
    return Shown(value, low, high, reason(row[f"{name}_why"]))


def shown_value(row: Mapping[str, Any]) -> Shown:
    """Return the value of a table row with the columns ``value, low, high, why``."""
    return Shown(number(row["value"]), number(row["low"]), number(row["high"]), reason(row["why"]))


def reason(why: Any) -> str:
    """Return a reason without the words "not estimable", which the report adds itself; empty without one."""
    text = why if isinstance(why, str) else ""
    inner = text.removeprefix("not estimable").strip()
    return inner[1:-1] if inner.startswith("(") and inner.endswith(")") else inner.removeprefix(":").strip()


def feature_set_name(feature_set: str) -> str:
    """Return the name of a feature set for readers: ``clinical+deep`` becomes "Clinical + deep features"."""
    first, *rest = [part_name(part) for part in feature_set.split("+")]
    return " + ".join([first, *(part[:1].lower() + part[1:] for part in rest)])


def part_name(part: str) -> str:
    """Return the name of one modality, of the volume baseline, of a clinical set or of a published signature."""
    if part.startswith(SIGNATURE):
        return f"Signature “{part.removeprefix(SIGNATURE)}”"
    if part.startswith("clinical:"):
        return f"Clinical set “{part.removeprefix('clinical:')}”"
    return FEATURE_SET_NAMES.get(part, part)


def feature_set_order(feature_set: str) -> tuple:
    """Return a sort key for feature sets.

    The order is: single modalities, pairs, larger combinations, volume, clinical sets, published signatures.
    """
    if feature_set.startswith(SIGNATURE):
        return (100, feature_set)
    if feature_set == "volume":
        return (98,)
    if feature_set.startswith("clinical:") and "+" not in feature_set:
        return (99, feature_set)
    known = list(FEATURE_SET_NAMES)
    parts = feature_set.split("+")
    return (len(parts), tuple(known.index(part) if part in known else len(known) for part in parts), feature_set)


def days(horizon: float) -> str:
    """Return a horizon in words: days, and years too where they are within 0.01 of a multiple of 0.5."""
    years = horizon / DAYS_A_YEAR
    nearest = round(years * 2) / 2
    if nearest and abs(years - nearest) < 0.01:
        return f"{nearest:g} year{'s' if nearest != 1 else ''} ({horizon:g} days)"
    return f"{horizon:g} days"


def seconds(value: float) -> str:
    """Return a duration as text: ``42 s``, ``3 min 05 s`` or ``2 h 14 min``."""
    if value < 60:
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, what: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 patient``, ``2 patients``, ``1,497 patients``."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"


def listed(words: list[str]) -> str:
    """Join words: ``a``, ``a and b``, ``a, b and c``; an empty list becomes ``none``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Return the numbers of a column; missing values become None."""
    return [number(value) for value in values]


def p_text(value: float) -> str:
    """Return a p value with three decimals, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def share(part: float, whole: float) -> str:
    """Return a count and its percentage: ``12 (34%)``."""
    return f"{part:,.0f} ({part / whole:.0%})" if whole else f"{part:,.0f}"


def plain(value: float) -> str:
    """Return a measured value with three significant digits (at most four decimals) and no exponent."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return _minus(f"{value:,.{min(digits, 4)}f}")


def number(value: Any) -> float | None:
    """Return a number; None if it is missing."""
    import pandas as pd

    return None if pd.isna(value) else float(value)


def _signed(value: float) -> str:
    """Return a number with a sign and three decimals; zero has no sign."""
    text = _minus(f"{value:+.3f}")
    return "0.000" if text in ("+0.000", "−0.000") else text


def _minus(text: str) -> str:
    return text.replace("-", "−")
