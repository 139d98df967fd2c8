"""What the report reads, one view an endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.evaluation.comparisons import controls
from metaswin.evaluation.gather import fold_key
from metaswin.files import read_json, read_table
from metaswin.report.numbers import Shown, arm_name, arm_order, shown, shown_difference


@dataclass(frozen=True)
class Endpoint:
    """The tables of one endpoint.

    Attributes
    ----------
    facts : dict
        The endpoint's entry in ``evaluation/facts.json``.
    settings : dict
        Its settings in the config.
    confidence : float
        Of all intervals.
    tables : dict of str to DataFrame
        The tables of the evaluation, this endpoint's rows.
    selection : DataFrame
        ``selection.parquet`` of all folds, part ``outer``, with ``repeat, fold``; empty without radiomics.
    training : list of dict
        ``training.json`` of the outer networks, with ``repeat, fold``; empty without deep features.
    clinical_arm : str
        The arm of the modality ``clinical`` alone, named after its set.
    """

    facts: dict[str, Any]
    settings: dict[str, Any]
    confidence: float
    tables: dict[str, pd.DataFrame]
    selection: pd.DataFrame
    training: list[dict[str, Any]]
    clinical_arm: str

    @property
    def name(self) -> str:
        return self.facts["name"]

    @property
    def horizon(self) -> float | None:
        return self.facts["horizon_days"]

    @property
    def suffix(self) -> str:
        """Which metrics answer the question: weighted for a horizon, plain otherwise."""
        return "_ipcw" if self.facts["weighting"] == "ipcw" else ""

    @property
    def headline(self) -> str:
        return self.facts["headline"]

    @cached_property
    def summary(self) -> pd.DataFrame:
        return self.tables["summary"].set_index(["arm", "head"])

    @cached_property
    def arms(self) -> list[str]:
        return sorted(self.tables["summary"]["arm"].unique(), key=arm_order)

    @cached_property
    def heads(self) -> list[str]:
        """Heads of the headline arm, the one that answers the question first."""
        return sorted(self.summary.loc[self.headline].index, key=lambda head: (head != "network", head))

    @property
    def head(self) -> str:
        return self.heads[0]

    @property
    def counts(self) -> pd.Series:
        """Numbers of patients: ``n, events, nonevents, unknown, folds``."""
        return self.tables["summary"].iloc[0]

    def label(self, arm: str) -> str:
        """Name of an arm for readers; the arm of all of three or more modalities is "All modalities"."""
        modalities = self.facts["modalities"]
        return "All modalities" if len(modalities) > 2 and arm.split("+") == modalities else arm_name(arm)

    def alone(self) -> list[tuple[str, str]]:
        """Each modality that is an arm of its own, with the name of that arm."""
        arms = [(m, self.clinical_arm if m == "clinical" else m) for m in self.facts["modalities"]]
        return [(modality, arm) for modality, arm in arms if arm in self.arms]

    def metric(self, arm: str, head: str, name: str = "auc", suffix: str | None = None) -> Shown:
        """A metric of an arm, weighted as the headline unless `suffix` says otherwise."""
        return shown(self.summary.loc[(arm, head)], name + (self.suffix if suffix is None else suffix))

    def controls(self) -> list[str]:
        """Volume and clinical arms other than the headline itself."""
        return [arm for arm in controls(self.arms) if arm != self.headline]

    def best(self, arms: list[str]) -> tuple[str, str] | None:
        """The arm and head with the highest AUC among `arms`; None where none is estimable."""
        column = f"auc{self.suffix}"
        rows = self.summary[self.summary.index.get_level_values("arm").isin(arms)][column].dropna()
        return rows.idxmax() if len(rows) else None

    def difference(self, against: str, against_head: str) -> Shown:
        """Headline minus a control, in AUC."""
        table = self.tables["comparisons"]
        wanted = {"head": self.head, "against": against, "against_head": against_head, "metric": f"auc{self.suffix}"}
        for column, value in wanted.items():
            table = table[table[column] == value]
        return shown_difference(table.iloc[0])


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows.

    Attributes
    ----------
    flow : dict
        ``cohort/flow.json``.
    problems : DataFrame
        Public problems of all stages, warnings of the fits among them.
    used : DataFrame
        ``cohort/used.parquet``.
    endpoints : list of Endpoint
    """

    flow: dict[str, Any]
    problems: pd.DataFrame
    used: pd.DataFrame
    endpoints: list[Endpoint]


def read_report_data(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> ReportData:
    """Read the inputs of the report.

    Parameters
    ----------
    inputs : mapping
        The list ``evaluation`` (all outputs of the evaluation), ``flow, exclusions, used``, and what only some runs
        have, otherwise empty: ``problems`` (of the features), the lists ``selection`` and ``training``.
    config : mapping
        The configuration as plain values.
    """
    evaluation = [Path(path) for path in inputs["evaluation"]]
    tables = {path.stem: read_table(path) for path in evaluation if path.suffix == ".parquet"}
    facts = next(read_json(path) for path in evaluation if path.name == "facts.json")
    selection = [_keyed(read_table(path), path) for path in inputs["selection"]]
    training = [_keyed(read_json(path), path) for path in inputs["training"]]
    views = []
    for about in facts["endpoints"]:
        name = about["name"]
        chosen = [part for part in selection if part["endpoint"].iloc[0] == name]
        chosen_table = pd.concat(chosen, ignore_index=True) if chosen else pd.DataFrame()
        if len(chosen_table):
            chosen_table = chosen_table[chosen_table["part"] == "outer"]
        views.append(
            Endpoint(
                about,
                dict(config["endpoints"][name]),
                facts["confidence"],
                {key: table[table["endpoint"] == name].reset_index(drop=True) for key, table in tables.items()},
                chosen_table,
                [record for record in training if record["endpoint"] == name],
                f"clinical:{config['fusion']['clinical_set'] or next(iter(config['clinical']['sets']), 'baseline')}",
            )
        )
    return ReportData(
        read_json(inputs["flow"]), _problems(inputs, facts["endpoints"]), read_table(inputs["used"]), views
    )


def _keyed(value: Any, path: str) -> Any:
    """A table or record with the endpoint, repeat and fold of the file it came from."""
    endpoint, repeat, fold = fold_key(path)
    if isinstance(value, pd.DataFrame):
        return value.assign(endpoint=endpoint, repeat=repeat, fold=fold)
    return {**value, "endpoint": endpoint, "repeat": repeat, "fold": fold}


def _problems(inputs: Mapping[str, Any], endpoints: list[dict[str, Any]]) -> pd.DataFrame:
    parts = [read_table(inputs["exclusions"])]
    if inputs["problems"]:
        parts.append(read_table(inputs["problems"]))
    columns = parts[0].columns
    for about in endpoints:
        if about["warnings"]:
            warnings = pd.DataFrame(about["warnings"])
            parts.append(warnings.assign(stage=warnings["stage"] + f":{about['name']}", detail="")[columns])
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True).drop_duplicates(ignore_index=True)
