"""Read the data of the report, with one view per endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.cohort.fits import left_out
from metaswin.cohort.review import CODE_OF as REVIEWED
from metaswin.cohort.review import HIDDEN, SHOWN
from metaswin.core.files import read_json, read_table
from metaswin.core.formatting import (
    PUBLISHED,
    SIGNATURE,
    Shown,
    feature_set_name,
    feature_set_order,
    shown,
    shown_value,
)
from metaswin.core.problems import public_table
from metaswin.core.status import read_status
from metaswin.evaluation.comparisons import CLINICAL, baselines
from metaswin.evaluation.review import with_and_without

STABILITY = ["endpoint", "repeat", "fit", "modality", "feature", "patients", "low", "judged", "kept", "reason"]


@dataclass(frozen=True)
class Endpoint:
    """Provide the tables of one endpoint.

    Attributes
    ----------
    facts : dict
        The endpoint's entry in ``evaluation/facts.json``.
    settings : dict
        Settings of the endpoint in the configuration.
    confidence : float
        Confidence level of all intervals.
    tables : dict of str to DataFrame
        Rows of this endpoint in the tables of the evaluation and of the other analyses that this run has.
    selection : DataFrame
        ``selection.parquet`` of the final fits, with ``repeat, fold``. Empty without radiomics.
    training : list of dict
        ``training.json`` of the networks of the final fits. Empty without deep features.
    clinical_feature_set : str
        Name of the feature set of the modality ``clinical`` alone, which contains the name of the clinical set.
    """

    facts: dict[str, Any]
    settings: dict[str, Any]
    confidence: float
    tables: dict[str, pd.DataFrame]
    selection: pd.DataFrame
    training: list[dict[str, Any]]
    clinical_feature_set: str

    @property
    def name(self) -> str:
        return self.facts["name"]

    @property
    def horizon(self) -> float | None:
        return self.facts["horizon_days"]

    @property
    def suffix(self) -> str:
        """Suffix of the primary metrics, which are weighted at a horizon and plain otherwise."""
        return "_ipcw" if self.facts["weighting"] == "ipcw" else ""

    @property
    def primary(self) -> str:
        return self.facts["primary"]

    @cached_property
    def summary(self) -> pd.DataFrame:
        return self.tables["summary"].set_index(["feature_set", "classifier"])

    @cached_property
    def feature_sets(self) -> list[str]:
        return sorted(self.tables["summary"]["feature_set"].unique(), key=feature_set_order)

    @cached_property
    def classifiers(self) -> list[str]:
        """Classifiers of the primary feature set, the primary one first."""
        first = self.facts.get("primary_classifier", "network")
        return sorted(self.summary.loc[self.primary].index, key=lambda classifier: (classifier != first, classifier))

    @property
    def classifier(self) -> str:
        return self.classifiers[0]

    def classifier_of(self, feature_set: str) -> str:
        """Return the classifier of a feature set: the primary one, or ``published`` for a published signature."""
        return PUBLISHED if feature_set.startswith(SIGNATURE) else self.classifier

    @property
    def counts(self) -> pd.Series:
        """Numbers of patients: ``n, events, nonevents, unknown, folds``."""
        return self.tables["summary"].iloc[0]

    def label(self, feature_set: str) -> str:
        """Return the name of a feature set for readers.

        The feature set of all modalities is "All modalities" if there are three or more.
        """
        modalities = self.facts["modalities"]
        for signature in self.signatures:
            if feature_set == SIGNATURE + signature["name"]:
                return f"Signature: {signature['title']}"
        return (
            "All modalities"
            if len(modalities) > 2 and feature_set.split("+") == modalities
            else feature_set_name(feature_set)
        )

    @property
    def signatures(self) -> list[dict[str, Any]]:
        """Entries of the published signatures in ``evaluation/facts.json``; empty if the run has none."""
        return self.facts.get("signatures", [])

    @property
    def margin(self) -> float | None:
        """Largest difference in AUC that counts as equivalent."""
        return self.facts.get("equivalence_margin")

    def alone(self) -> list[tuple[str, str]]:
        """Return each modality that is also a feature set, with the name of that feature set."""
        feature_sets = [(m, self.clinical_feature_set if m == "clinical" else m) for m in self.facts["modalities"]]
        return [(modality, feature_set) for modality, feature_set in feature_sets if feature_set in self.feature_sets]

    def rows(self, name: str) -> pd.DataFrame | None:
        """Return a table; None if this run does not have it, or if it has no rows for this endpoint."""
        table = self.tables.get(name)
        return None if table is None or not len(table) else table

    def has(self, name: str) -> bool:
        """Return whether the summary has the metric `name` with the primary weighting."""
        return name + self.suffix in self.tables["summary"]

    def metric(self, feature_set: str, classifier: str, name: str = "auc", suffix: str | None = None) -> Shown:
        """Return a metric of a feature set, with the primary weighting unless `suffix` is given."""
        return shown(self.summary.loc[(feature_set, classifier)], name + (self.suffix if suffix is None else suffix))

    def baselines(self) -> list[str]:
        """Return volume, clinical feature sets and published signatures, without the primary model itself."""
        return [feature_set for feature_set in baselines(self.feature_sets) if feature_set != self.primary]

    def best(self, feature_sets: list[str]) -> tuple[str, str] | None:
        """Return the feature set and classifier with the highest AUC; None if no AUC is estimable."""
        column = f"auc{self.suffix}"
        rows = self.summary[self.summary.index.get_level_values("feature_set").isin(feature_sets)][column].dropna()
        return rows.idxmax() if len(rows) else None

    def volume(self) -> tuple[str, str] | None:
        """Return tumour volume with the classifier of the confirmatory comparison, otherwise its better classifier."""
        return self._named(["volume"]) or self.best(
            [feature_set for feature_set in self.baselines() if feature_set == "volume"]
        )

    def best_clinical(self) -> tuple[str, str] | None:
        """Return the clinical set of the confirmatory comparison, otherwise the set with the highest AUC."""
        sets = self.clinical_sets()
        return self._named(sets) or self.best(sets)

    def clinical_sets(self) -> list[str]:
        """Return the clinical sets among the baselines."""
        return [feature_set for feature_set in self.baselines() if feature_set.startswith(CLINICAL)]

    def published(self) -> list[tuple[str, str]]:
        """Return the published signatures among the baselines, each with ``published`` as its classifier."""
        return [(name, PUBLISHED) for name in self.baselines() if name.startswith(SIGNATURE)]

    def _named(self, feature_sets: list[str]) -> tuple[str, str] | None:
        table = self.tables["comparisons"]
        if "family" not in table:
            return None
        rows = table[(table["family"] == "confirmatory") & table["against"].isin(feature_sets)]
        return (rows["against"].iloc[0], rows["against_classifier"].iloc[0]) if len(rows) else None

    def comparison(self, against: str, against_classifier: str, metric: str = "auc") -> pd.Series | None:
        """Return the row of the primary model minus a baseline, with the primary weighting; None if there is none."""
        table = self.tables["comparisons"]
        wanted = {
            "classifier": self.classifier,
            "against": against,
            "against_classifier": against_classifier,
            "metric": metric + self.suffix,
        }
        for column, value in wanted.items():
            table = table[table[column] == value]
        return table.iloc[0] if len(table) else None

    def difference(self, against: str, against_classifier: str, metric: str = "auc") -> Shown:
        """Return the primary model minus a baseline."""
        row = self.comparison(against, against_classifier, metric)
        return Shown(None, why="not compared") if row is None else shown_value(row)


@dataclass(frozen=True)
class ReportData:
    """Provide everything that the report shows.

    Attributes
    ----------
    flow : dict
        ``cohort/flow.json``.
    problems : DataFrame
        Public problems of all stages, including the warnings of the fits.
    used : DataFrame
        ``cohort/used.parquet``.
    endpoints : list of Endpoint
    clinical : DataFrame
        ``cohort/clinical.parquet``, of the used patients.
    roles : dict of str to str
        Role of each column of `clinical`.
    qc_images : dict of str to Path
        QC image of each patient that has one.
    maps : dict of str to list
        For each endpoint, the entries of ``explanation/<endpoint>/maps.json``, each with its ``path``.
    reviewed : dict of str to list
        Code of each kind of exclusion by a reviewer → patients.
    with_reviewed : list of dict
        `metaswin.evaluation.review.with_and_without` of those excluded after predictions existed.
    """

    flow: dict[str, Any]
    problems: pd.DataFrame
    used: pd.DataFrame
    endpoints: list[Endpoint]
    clinical: pd.DataFrame = field(default_factory=pd.DataFrame)
    roles: dict[str, str] = field(default_factory=dict)
    qc_images: dict[str, Path] = field(default_factory=dict)
    maps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    reviewed: dict[str, list[str]] = field(default_factory=dict)
    with_reviewed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def late(self) -> list[str]:
        """Patients whom a reviewer excluded after predictions existed."""
        return [name for code in (REVIEWED[HIDDEN], REVIEWED[SHOWN]) for name in self.reviewed.get(code, [])]


@dataclass(frozen=True)
class ReportInputs:
    """Name the files that the report reads; files that a run does not have are None or empty.

    Attributes
    ----------
    evaluation : list of str
        All outputs of the evaluation.
    flow, exclusions, used, clinical : str
        Tables of the cohort.
    problems : list of str
        Problems of the features.
    selection, stability : list of str
        One file for each endpoint and repeat.
    training : list of str
        One file for each outer fold.
    survival, controls, optimism, explanation, site : list of str
        Outputs of other stages. Their tables have a column ``endpoint`` or are in a folder with its name.
    qc_images : list of str
        PNG and status of each patient.
    maps : list of str
        ``explanation/<endpoint>/maps.json`` of each endpoint.
    review : str or None
        Predictions of an earlier run, kept when a reviewer decided after them.
    """

    evaluation: list[str]
    flow: str
    exclusions: str
    used: str
    clinical: str
    problems: list[str] = field(default_factory=list)
    selection: list[str] = field(default_factory=list)
    stability: list[str] = field(default_factory=list)
    training: list[str] = field(default_factory=list)
    survival: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    optimism: list[str] = field(default_factory=list)
    explanation: list[str] = field(default_factory=list)
    site: list[str] = field(default_factory=list)
    qc_images: list[str] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    review: str | None = None


def read_report_data(inputs: ReportInputs, config: Mapping[str, Any]) -> ReportData:
    """Read the inputs of the report.

    Parameters
    ----------
    inputs : ReportInputs
    config : mapping
        The configuration as plain values.
    """
    evaluation = [Path(path) for path in inputs.evaluation]
    facts = next(read_json(path) for path in evaluation if path.name == "facts.json")
    names = [about["name"] for about in facts["endpoints"]]
    tables = [(path.stem, read_table(path)) for path in evaluation if path.suffix == ".parquet"]
    others = [*inputs.survival, *inputs.controls, *inputs.optimism, *inputs.explanation, *inputs.site]
    tables += [_evidence(path, names) for path in map(Path, others) if path.suffix == ".parquet"]
    selection = [_final(read_table(path)) for path in inputs.selection]
    training = [read_json(path) for path in inputs.training]
    stability = [_final(read_table(path, STABILITY)) for path in inputs.stability]
    tables += [("stability", pd.concat(stability, ignore_index=True))] if stability else []
    joined = _joined(tables)
    clinical_set = config["fusion"]["clinical_set"] or next(iter(config["clinical"]["sets"]), "baseline")
    views = []
    for about in facts["endpoints"]:
        name = about["name"]
        chosen = [part for part in selection if len(part) and part["endpoint"].iloc[0] == name]
        chosen_table = pd.concat(chosen, ignore_index=True) if chosen else pd.DataFrame()
        own = {key: table[table["endpoint"] == name].reset_index(drop=True) for key, table in joined.items()}
        views.append(
            Endpoint(
                about,
                dict(config["endpoints"][name]),
                facts["confidence"],
                own,
                chosen_table,
                [record for record in training if record["endpoint"] == name],
                f"clinical:{clinical_set}",
            )
        )
    clinical, roles = _clinical(inputs.clinical)
    used = read_table(inputs.used)
    problems = _problems(inputs, facts["endpoints"])
    reviewed = {code: problems.loc[problems["code"] == code, "patient"].tolist() for code in REVIEWED.values()}
    data = ReportData(
        read_json(inputs.flow),
        problems,
        used,
        views,
        clinical[clinical["patient"].isin(used["patient"])].reset_index(drop=True),
        roles,
        _qc_images(inputs.qc_images),
        _maps(inputs.maps),
        reviewed,
    )
    if data.late and inputs.review:
        data.with_reviewed.extend(with_and_without(inputs.review, data.late))
    return data


def _joined(tables: list[tuple[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Return the tables by name; tables of the same name, one file per endpoint, are joined."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, table in tables:
        parts.setdefault(name, []).append(table)
    return {name: pd.concat(found, ignore_index=True) if len(found) > 1 else found[0] for name, found in parts.items()}


def _evidence(path: Path, endpoints: list[str]) -> tuple[str, pd.DataFrame]:
    """Return name and table of one file; the endpoint is taken from the path if the table has no such column."""
    table = read_table(path)
    if "endpoint" not in table:
        table = table.assign(endpoint=next(part for part in reversed(path.parts) if part in endpoints))
    return path.stem, table


def _clinical(path: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the clinical table with the role of each column."""
    import json

    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    return read_table(path), json.loads(metadata.get(b"roles", b"{}"))


def _qc_images(paths: list[str]) -> dict[str, Path]:
    """Return the QC image of each patient; an empty file means that there is none."""
    found = [Path(path) for path in paths if path.endswith(".png")]
    return {path.stem: path for path in found if path.stat().st_size}


def _maps(paths: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each ``explanation/<endpoint>/maps.json`` whose image exists."""
    found = {}
    for path in map(Path, paths):
        entries = [{**entry, "path": path.parent / entry["file"]} for entry in read_json(path)["maps"]]
        found[path.parent.name] = [entry for entry in entries if entry["path"].is_file()]
    return found


def _final(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the final fits, which leave out only the test fold, with that fold."""
    folds = table["fit"].map(left_out)
    final = folds.map(len) == 1
    return table[final].assign(fold=folds[final].str[0].astype(int))


def _problems(inputs: ReportInputs, endpoints: list[dict[str, Any]]) -> pd.DataFrame:
    parts = [read_table(inputs.exclusions)]
    parts += [read_table(path) for path in inputs.problems]
    statuses = [read_status(path) for path in inputs.qc_images if path.endswith(".status.json")]
    parts.append(public_table([warning for status in statuses for warning in status.warnings]))
    columns = parts[0].columns
    for about in endpoints:
        if about["warnings"]:
            warnings = pd.DataFrame(about["warnings"])
            parts.append(warnings.assign(stage=warnings["stage"] + f":{about['name']}", detail="")[columns])
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True).drop_duplicates(ignore_index=True)
