"""Compare every control with the run by AUC, difference and p-value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.config.evaluation import ControlsSettings, PermutationSettings
from metaswin.core.files import read_json, read_table, write_table
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.predictions import EndpointData, gather

LEAKY = (
    "Wrong on purpose: features were selected before the split, on all rows and labels, including the test rows. The "
    "fusion was fitted as in the run. The AUC shows what such a mistake would have reported."
)
SHUFFLED = (
    "Radiomics of regions with shuffled voxels, which have the same histogram and shape but no texture. Feature "
    "selection and fusion were refitted. Clinical columns and the deep score are those of the run."
)
FEWEST = 200


def switched_off(control: str, settings: ControlsSettings, reasons: Mapping[str, str]) -> str:
    """Return the reason why a control was not run: the data do not allow it, or the user turned it off."""
    if control in reasons:
        return f"not applicable: {reasons[control]}"
    if not getattr(settings, control):
        return f"turned off by the setting controls.{control}: false"
    raise ValueError(f"the control {control} should have been run")


def permuted_note(
    feature_set: str,
    classifier: str,
    n: int,
    settings: PermutationSettings,
    penalties: Mapping[str, Sequence[float]],
    selection: str,
) -> str:
    """Describe what the permutations of a feature set refit."""
    fewer = f" ({FEWEST} or more are recommended)" if n < FEWEST else ""
    text = f"The outcome was permuted {n} times{fewer}, with label, time and event together. Each permutation refitted"
    text += ", in the first repeat, the folds"
    if "radiomics" in feature_set:
        text += ", the feature selection" + (f" ({settings.trees} trees)" if selection == "forest" else "")
    text += f", the encoding and the {classifier} classifier "
    if settings.penalty == "chosen":
        text += "with a penalty chosen in inner folds. "
    else:
        text += f"with one penalty ({middle(penalties[classifier]):g}). "
    if "deep" in feature_set.split("+"):
        text += (
            "The deep networks were trained only on the first permuted outcome, and their scores were used in all "
            "permutations. Therefore p is approximate. "
        )
    return text + "The range is that of the permutations. p compares them with the refitted unpermuted outcome."


def middle(penalties: Sequence[float]) -> float:
    """Return the penalty that is used if none is chosen."""
    return sorted(penalties)[len(penalties) // 2]


COLUMNS = [
    "endpoint", "control", "feature_set", "classifier", "auc", "auc_low", "auc_high", "auc_why", "as_is", "difference",
    "difference_low", "difference_high", "difference_why", "refit", "p", "n", "note",
]  # fmt: skip
NUMBERS = [
    "auc", "auc_low", "auc_high", "as_is", "difference", "difference_low", "difference_high", "refit", "p"
]  # fmt: skip
FEATURE_SET = ["feature_set", "classifier"]
FOLD = ["repeat", "fold"]
VARIANTS = {"leaky": LEAKY, "shuffled": SHUFFLED}


@dataclass(frozen=True)
class Endpoint:
    """Store the results of the run for one endpoint.

    Attributes
    ----------
    name, primary : str
    folds : DataFrame
        ``feature_set, classifier, repeat, fold, auc`` of the run, with the primary weighting (at a horizon by inverse
        probability of censoring).
    """

    name: str
    primary: str
    folds: pd.DataFrame

    def mean(self, feature_set: str, classifier: str) -> float:
        """Return the AUC of a feature set in the run."""
        chosen = (self.folds["feature_set"] == feature_set) & (self.folds["classifier"] == classifier)
        return float(self.folds.loc[chosen, "auc"].mean())


@dataclass(frozen=True)
class ControlsInputs:
    """Name the files that `evaluate_controls` reads; the lists of a control that was not run are empty.

    ``as_is`` and ``facts`` are ``folds.parquet`` and ``facts.json`` of the evaluation. ``folds`` and ``folds_facts``
    have one file for every endpoint. The predictions and fits have one file for every fold of the run and of each
    control.
    """

    as_is: str
    facts: str
    run_predictions: list[str]
    run_fits: list[str]
    folds: list[str]
    folds_facts: list[str]
    leaky_predictions: list[str]
    leaky_fits: list[str]
    shuffled_predictions: list[str]
    shuffled_fits: list[str]
    permutations: list[str]


def evaluate_controls(
    inputs: ControlsInputs,
    controls: str,
    permutations: str,
    settings: ControlsSettings,
    reasons: Mapping[str, str],
    confidence: float,
    penalties: Mapping[str, Sequence[float]],
    selection: str,
) -> None:
    """Write ``controls.parquet`` and ``permutations.parquet``.

    Parameters
    ----------
    inputs : ControlsInputs
    controls, permutations : str
        Files to write.
    settings : ControlsSettings
    reasons : mapping
        Control → reason why these data or this configuration cannot have it.
    confidence : float
    penalties : mapping
        Classifier → penalties of the run.
    selection : str
        Setting ``selection.method``.
    """
    endpoints = _endpoints(read_json(inputs.facts), read_table(inputs.as_is))
    batches = [read_table(path) for path in inputs.permutations]
    permuted = pd.concat(batches, ignore_index=True) if batches else _no_permutations()
    records = []
    run = {}
    if inputs.leaky_predictions or inputs.shuffled_predictions:
        gathered = gather(inputs.run_predictions, inputs.run_fits, inputs.folds, inputs.folds_facts)
        run = {one.name: one for one in gathered}
    made = {
        "leaky": (inputs.leaky_predictions, inputs.leaky_fits),
        "shuffled": (inputs.shuffled_predictions, inputs.shuffled_fits),
    }
    for control, (predictions, fits) in made.items():
        data = {}
        if predictions:
            gathered = gather(predictions, fits, inputs.folds, inputs.folds_facts)
            data = {one.name: one for one in gathered}
        for endpoint in endpoints:
            if endpoint.name in data:
                records += variant_records(control, endpoint, run[endpoint.name], data[endpoint.name], confidence)
            else:
                records.append(_missing(control, endpoint, switched_off(control, settings, reasons)))
    for endpoint in endpoints:
        rows = permuted[permuted["endpoint"] == endpoint.name]
        if len(rows):
            records += permuted_records(endpoint, rows, settings, confidence, penalties, selection)
        else:
            records.append(_missing("permuted", endpoint, switched_off("permuted", settings, reasons)))
    table = pd.DataFrame(records, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64") | {"n": "Int64"})
    write_table(controls, table)
    write_table(permutations, permuted)


def variant_records(
    control: str, endpoint: Endpoint, run: EndpointData, data: EndpointData, confidence: float
) -> list[dict[str, Any]]:
    """Compare a leaky or shuffled variant with the run on the same test rows.

    Intervals and p-values are those of `metaswin.evaluation.intervals.mean_over_folds`.
    """
    records = []
    weighted, missing = data.horizon is not None, "not estimable in some folds"
    for key, parts in data.feature_sets.items():
        feature_set, classifier = key
        found = mean_over_folds(fold_results("auc", parts, weighted), data.ratio, confidence, missing, few=data.few)
        both = fold_results("auc", run.feature_sets[key], weighted, minus=parts)
        difference = mean_over_folds(both, data.ratio, confidence, missing, signed=True, few=data.few)
        records.append(
            {
                "endpoint": endpoint.name,
                "control": control,
                "feature_set": feature_set,
                "classifier": classifier,
                "auc": found.value,
                "auc_low": found.low,
                "auc_high": found.high,
                "auc_why": found.why,
                "as_is": endpoint.mean(feature_set, classifier),
                "difference": difference.value,
                "difference_low": difference.low,
                "difference_high": difference.high,
                "difference_why": difference.why,
                "p": difference.p,
                "note": VARIANTS[control],
            }
        )
    return records


def permuted_records(
    endpoint: Endpoint,
    rows: pd.DataFrame,
    settings: ControlsSettings,
    confidence: float,
    penalties: Mapping[str, Sequence[float]],
    selection: str,
) -> list[dict[str, Any]]:
    """Compare permuted outcomes with the run: mean and range of their AUCs, and p of the refitted unpermuted outcome.

    p = (1 + number of permutations that score as high or higher) / (1 + permutations). It is never 0 (Phipson & Smyth
    2010, Stat Appl Genet Mol Biol 9:39).
    """
    records = []
    for (feature_set, classifier), found in rows.groupby(FEATURE_SET, sort=True):
        observed = float(found.loc[found["permutation"] == 0, "auc"].iloc[0])
        null = found.loc[found["permutation"] > 0, "auc"].to_numpy()
        null = null[np.isfinite(null)]
        record = {
            "endpoint": endpoint.name,
            "control": "permuted",
            "feature_set": feature_set,
            "classifier": classifier,
            "as_is": endpoint.mean(feature_set, classifier),
            "refit": observed,
            "difference_why": "p compares the refitted unpermuted outcome with the permutations",
            "n": len(null),
            "note": permuted_note(feature_set, classifier, len(null), settings.permutation, penalties, selection),
        }
        if not len(null) or not np.isfinite(observed):
            why = "the AUC is not estimable in any fold"
            records.append({**record, "auc_why": why, "difference_why": why})
            continue
        tail = (1 - confidence) / 2
        low, high = np.quantile(null, [tail, 1 - tail])
        mean = float(null.mean())
        records.append(
            {
                **record,
                "auc": mean,
                "auc_low": float(low),
                "auc_high": float(high),
                "auc_why": "",
                "difference": record["as_is"] - mean,
                "p": permutation_p(observed, null),
            }
        )
    return records


def permutation_p(observed: float, null: np.ndarray) -> float:
    """Return the proportion of permutations that score as high or higher, including the observed one."""
    # Sums of the folds' AUCs in another order differ in the last digits.
    return float((1 + np.sum(null >= observed - 1e-12)) / (1 + len(null)))


def _endpoints(facts: Mapping[str, Any], folds: pd.DataFrame) -> list[Endpoint]:
    endpoints = []
    for fact in facts["endpoints"]:
        column = "auc_ipcw" if fact["weighting"] == "ipcw" else "auc"
        rows = folds.loc[folds["endpoint"] == fact["name"], [*FEATURE_SET, *FOLD, column]]
        endpoints.append(Endpoint(fact["name"], fact["primary"], rows.rename(columns={column: "auc"})))
    return endpoints


def _missing(control: str, endpoint: Endpoint, why: str) -> dict[str, Any]:
    """Return the row of a control that was not run: the primary feature set, without numbers."""
    return {
        "endpoint": endpoint.name,
        "control": control,
        "feature_set": endpoint.primary,
        "classifier": "network",
        "auc_why": why,
        "difference_why": why,
        "note": why,
    }


def _no_permutations() -> pd.DataFrame:
    return pd.DataFrame(columns=["endpoint", "permutation", "feature_set", "classifier", "auc"]).astype(
        {"endpoint": "str", "permutation": "int64", "feature_set": "str", "classifier": "str", "auc": "float64"}
    )
