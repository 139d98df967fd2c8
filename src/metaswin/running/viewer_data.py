"""Collect what the viewer shows of a run: patients, volumes, problems, decisions and, on demand, the results."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.cohort.outcomes import STAGE as LABEL
from metaswin.cohort.review import FILE, HIDDEN, NONE, SHOWN, Decision, read_review, save_decision
from metaswin.config.read import read_configs
from metaswin.core.errors import UserError, suggestion
from metaswin.core.files import read_json, read_table
from metaswin.core.problems import public_table
from metaswin.core.status import read_status
from metaswin.evaluation.review import keep_predictions, predictions_exist

PATIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VOLUMES = {
    "ct": "images/{}/ct.nii.gz",
    "primary": "images/{}/tumor.nii.gz",  # of one file the viewer shows two layers
    "nodes": "images/{}/tumor.nii.gz",
    "rings": "regions/{}/regions.nii.gz",
    "organs": "organs/{}/organs.nii.gz",
}
MAP = "map-"  # and the endpoint
SUGGESTED = 50  # patients whose ids an error message may list
PROBLEMS = ("cohort/exclusions.parquet", "cohort/qc.parquet", "cohort/early_problems.parquet")


@dataclass(frozen=True)
class ViewedRun:
    """A run, or a folder of predictions, as the viewer shows it.

    Attributes
    ----------
    directory, results, private : Path
    with_results : bool
        Whether risk, outcome and occlusion map are shown. Otherwise nothing of them is read.
    review : str or None
        ``cohort.review`` of the configuration.
    """

    directory: Path
    results: Path
    private: Path
    with_results: bool = False
    review: str | None = None

    @classmethod
    def of(cls, directory: Path, configs: Sequence[Path], with_results: bool) -> "ViewedRun":
        """Return the run of a directory.

        Raises
        ------
        UserError
            If it has no patients, or no results that could be shown.
        """
        settings = read_configs(configs)
        output, cohort = settings.get("output") or {}, settings.get("cohort") or {}
        run = cls(
            directory,
            directory / output.get("results", "results"),
            directory / output.get("private", "private"),
            with_results,
            cohort.get("review"),
        )
        if not run.patients():
            raise UserError(
                f"found no patients in {run.results}; the viewer shows a run or a folder of predictions: give its "
                "folder with --directory, or run the workflow there first"
            )
        if with_results and not predictions_exist(run.results):
            raise UserError(f"--results: {run.results} has no predictions yet; omit it to review the images")
        return run

    @property
    def file(self) -> Path:
        """The file of the decisions."""
        return self.private / FILE

    @cached_property
    def is_prediction(self) -> bool:
        """Whether new patients are predicted here."""
        return (self.directory / "predict.yaml").is_file()

    def overview(self) -> dict[str, Any]:
        """Return what the page shows beside the volumes; every value can be written as JSON."""
        results = self._results() if self.with_results else {}
        return {
            "name": self.directory.resolve().name,
            "with_results": self.with_results,
            "is_prediction": self.is_prediction,
            "predictions_exist": predictions_exist(self.results),
            "applied": self.review is not None,
            "endpoints": sorted({endpoint for found in results.values() for endpoint in found}),
            "patients": [{**row, "results": results.get(row["patient"], {})} for row in self.patients()],
        }

    def patients(self) -> list[dict[str, Any]]:
        """Return state, problems and decision of each patient, in the order of the ids."""
        problems = self._problems()
        planned, used = self._ids("cohort/patients.parquet"), self._ids("cohort/used.parquet")
        found = {patient: rows for patient, rows in problems.groupby("patient", sort=False) if patient}
        folder = self.results / "images"
        with_images = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        decisions = read_review(self.file)
        rows = []
        for patient in sorted({*planned, *found, *with_images} - {""}):
            own = found.get(patient, problems.iloc[:0])
            state = "used" if patient in used else "excluded" if own["excludes"].any() else "planned"
            decision = decisions.get(patient)
            rows.append(
                {
                    "patient": patient,
                    "state": state,
                    "images": self.volume(patient, "ct") is not None,
                    "problems": own[["code", "excludes", "found", "action"]].to_dict("records"),
                    "decision": asdict(decision) if decision is not None else None,
                }
            )
        return rows

    def layers(self, patient: str) -> list[dict[str, Any]]:
        """Return the overlays of a patient, each a volume.

        A layer has ``key``, ``name`` and either ``items`` (name and labels of each structure) or, for a map, its
        ``largest`` value.
        """
        found: list[dict[str, Any]] = []
        if self.volume(patient, "primary") is not None:
            volumes = read_json(self.results / f"images/{patient}/image.json")["volumes_mm3"]
            for label, (key, name) in enumerate((("primary", "Primary tumour"), ("nodes", "Nodes")), 1):
                found.append({"key": key, "name": name, "items": [_item(name, [label])] if volumes.get(key) else []})
        if self.volume(patient, "rings") is not None:
            labels = read_json(self.results / f"regions/{patient}/regions.json")["labels"]
            rings = [_item(_ring_name(name), own) for name, own in labels.items() if name.startswith("ring_")]
            found.append({"key": "rings", "name": "Rings", "items": rings})
        if self.volume(patient, "organs") is not None:
            labels = read_json(self.results / f"organs/{patient}/organs.json")["labels"]
            organs = [_item(name.replace("_", " "), [label]) for name, label in sorted(labels.items())]
            found.append({"key": "organs", "name": "Organs", "items": organs})
        maps = self._maps(patient)
        for endpoint, entry in maps.items():
            largest = max(abs(entry["largest_fall"] or 0), abs(entry["largest_rise"] or 0))
            name = "Occlusion map" if len(maps) == 1 else f"Map {endpoint}"
            found.append({"key": MAP + endpoint, "name": name, "largest": largest})
        return [layer for layer in found if layer.get("items") or layer.get("largest")]

    def volume(self, patient: str, key: str) -> Path | None:
        """Return the file of one volume below the results; None if there is none, or if it may not be shown."""
        if PATIENT.fullmatch(patient) is None:
            return None
        if key.startswith(MAP):
            entry = self._maps(patient).get(key.removeprefix(MAP))
            path = self.results / "explanation" / key.removeprefix(MAP) / entry["volume"] if entry else None
        else:
            path = self.results / VOLUMES[key].format(patient) if key in VOLUMES else None
        if path is None or not path.is_file() or not path.stat().st_size:
            return None
        return path if path.resolve().is_relative_to(self.results.resolve()) else None

    def decide(self, patient: str, decision: str, comment: str) -> Decision:
        """Save a decision with whether the predictions could be known, and keep a copy of these predictions."""
        known = NONE
        if predictions_exist(self.results):
            known = SHOWN if self.with_results else HIDDEN
            keep_predictions(self.results)
        return save_decision(self.file, patient, decision, comment, known)

    def check_patient(self, patient: str) -> None:
        """Raise a `UserError` if the run does not have the patient."""
        known = [row["patient"] for row in self.patients()]
        if patient not in known:
            near = suggestion(patient, known) if len(known) <= SUGGESTED else ""
            raise UserError(f"--patient: the run has no patient {patient!r} among {len(known)}{near}")

    def _ids(self, name: str) -> set[str]:
        path = self.results / name
        return set(read_table(path, columns=["patient"])["patient"]) if path.is_file() else set()

    def _problems(self) -> pd.DataFrame:
        """Return the public problems of the patients. Those of the outcome are included only if results are shown."""
        first = next((path for name in PROBLEMS if (path := self.results / name).is_file()), None)
        parts = [read_table(first)] if first else []
        features = self.results / "features/problems.parquet"
        parts += [read_table(features)] if features.is_file() else []
        statuses = [read_status(path) for path in sorted(self.results.glob("qc-images/*.status.json"))]
        parts.append(public_table([warning for status in statuses for warning in status.warnings]))
        table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True).drop_duplicates()
        return table if self.with_results else table[~table["stage"].str.startswith(LABEL)]

    def _maps(self, patient: str) -> dict[str, dict[str, Any]]:
        """Return the entries of the occlusion maps of a patient by endpoint; none if results are hidden."""
        if not self.with_results:
            return {}
        return {
            path.parent.name: entry
            for path in sorted(self.results.glob("explanation/*/maps.json"))
            for entry in read_json(path)["maps"]
            if entry["patient"] == patient and "volume" in entry
        }

    def _results(self) -> dict[str, dict[str, Any]]:
        """Return the risk, and the outcome or group, by patient and endpoint."""
        found: dict[str, dict[str, Any]] = {}
        for endpoint, patient, facts in self._predicted():
            found.setdefault(patient, {})[endpoint] = facts
        return found

    def _predicted(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        new = self.results / "predictions/predictions.parquet"
        if new.is_file():
            for row in read_table(new).to_dict("records"):
                facts = {"risk": _number(row["risk"]), "group": _text(row["group"]), "why": _text(row["why"])}
                yield row["endpoint"], row["patient"], facts
        path = self.results / "evaluation/predictions.parquet"
        if not path.is_file():
            return
        table = read_table(path)
        for about in read_json(self.results / "evaluation/facts.json")["endpoints"]:
            own = table[
                (table["endpoint"] == about["name"])
                & (table["feature_set"] == about["primary"])
                & (table["classifier"] == about.get("primary_classifier", "network"))
            ]
            for patient, rows in own.groupby("patient"):
                label = _number(rows["label"].iloc[0])
                outcome = {None: "unknown", 0.0: "no event", 1.0: "event"}[label]
                yield about["name"], str(patient), {"risk": _number(rows["probability"].mean()), "outcome": outcome}


def _item(name: str, labels: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "labels": list(labels)}


def _ring_name(name: str) -> str:
    """Return the name of a ring as text, such as "Ring 0–10 mm" for ``ring_0_10mm``."""
    return f"Ring {name.removeprefix('ring_').removesuffix('mm').replace('_', '–')} mm"


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
