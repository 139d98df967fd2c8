"""Everything evaluation and report read, drawn with known answers (a helper of the tests, not a test)."""

import json
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from metaswin.cohort.folds import Place, all_fits, fit_name, make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.core.files import write_json, write_table, write_text
from metaswin.core.problems import Problem, public_table
from metaswin.evaluation.evaluate import EvaluationInputs, EvaluationOutputs
from metaswin.report.data import ReportInputs

STRENGTH = {"clinical": 0.5, "radiomics": 0.7, "peri_radiomics": 0.3, "deep": 0.8, "volume": 0.6}


@dataclass
class Plan:
    """What kind of run to draw."""

    patients: int = 120
    endpoints: dict[str, float | None] = field(default_factory=lambda: {"dm": None})
    modalities: tuple[str, ...] = ("clinical", "radiomics", "peri_radiomics", "deep")
    k: int = 5
    repeats: int = 1
    seed: int = 1
    exclusions: bool = True


@dataclass
class Run:
    """Paths of a drawn run, as the rules would hand them over."""

    folder: Path
    plan: Plan

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def _repeats(self, rest: str) -> list[str]:
        return [
            f"{self.results}/models/{endpoint}/as-is/r{repeat}/{rest}"
            for endpoint in self.plan.endpoints
            for repeat in range(self.plan.repeats)
        ]

    def _folds(self, rest: str) -> list[str]:
        """Paths below the folder of each repeat; `rest` names the fold as ``{fold}``."""
        return [path.format(fold=fold) for path in self._repeats(rest) for fold in range(self.plan.k)]

    @property
    def evaluation_inputs(self) -> EvaluationInputs:
        return EvaluationInputs(
            predictions=self._folds("fold-{fold}/fusion/predictions.parquet"),
            fits=self._folds("fold-{fold}/fusion/fits.json"),
            folds=[f"{self.results}/folds/{e}.parquet" for e in self.plan.endpoints],
            facts=[f"{self.results}/folds/{e}.json" for e in self.plan.endpoints],
            clinical=f"{self.results}/cohort/clinical.parquet",
            used=f"{self.results}/cohort/used.parquet",
        )

    @property
    def evaluation_outputs(self) -> EvaluationOutputs:
        names = [name.name for name in fields(EvaluationOutputs) if name.name != "facts"]
        tables = {name: f"{self.results}/evaluation/{name}.parquet" for name in names}
        return EvaluationOutputs(**tables, facts=f"{self.results}/evaluation/facts.json")

    @property
    def report_inputs(self) -> ReportInputs:
        imaging, deep = "radiomics" in self.plan.modalities, "deep" in self.plan.modalities
        return ReportInputs(
            evaluation=list(asdict(self.evaluation_outputs).values()),
            flow=f"{self.results}/cohort/flow.json",
            exclusions=f"{self.results}/cohort/exclusions.parquet",
            used=f"{self.results}/cohort/used.parquet",
            clinical=f"{self.results}/cohort/clinical.parquet",
            problems=[f"{self.results}/features/problems.parquet"] if imaging else [],
            selection=self._repeats("selection.parquet") if imaging else [],
            training=self._folds("without-{fold}/deep/swin/training.json") if deep else [],
        )


def feature_sets_of(modalities: tuple[str, ...]) -> list[str]:
    """Feature sets as the fusion stage names them by default."""
    alone = ["clinical:paper" if modality == "clinical" else modality for modality in modalities]
    feature_sets = [*alone, *("+".join(pair) for pair in combinations(modalities, 2))]
    if len(modalities) > 2:
        feature_sets.append("+".join(modalities))
    if "radiomics" in modalities:
        feature_sets.append("volume")
    return [*feature_sets, "clinical:staging"]


def draw(folder: Path, plan: Plan | None = None) -> Run:
    """Write the inputs of evaluation and report below `folder`."""
    plan = plan or Plan()
    run = Run(folder, plan)
    rng = np.random.default_rng(plan.seed)
    patients = [f"P{i:04d}" for i in range(1, plan.patients + 1)]
    site = rng.choice(["oropharynx", "Larynx", "larynx", "hypopharynx", "nasopharynx"], plan.patients)
    risk = rng.normal(size=plan.patients)
    _cohort(run, patients, site, rng)
    for name, horizon in plan.endpoints.items():
        _endpoint(run, name, horizon, patients, site, risk, rng)
    return run


def _cohort(run: Run, patients: list[str], site: np.ndarray, rng: np.random.Generator) -> None:
    n, imaging = len(patients), "radiomics" in run.plan.modalities
    clinical = pd.DataFrame(
        {
            "patient": patients,
            "age": rng.normal(61, 9, n).round(1),
            "sex": pd.Series(rng.choice(["f", "m"], n), dtype="str"),
            "site": pd.Series(site, dtype="str").where(rng.random(n) > 0.03),
        }
    )
    write_table(run.results / "cohort/clinical.parquet", clinical, {"roles": json.dumps({"age": "baseline"})})
    used = pd.DataFrame({"patient": patients})
    if imaging:
        used = used.assign(volume_tumor_mm3=rng.lognormal(9, 1, n), manufacturer="SIEMENS", tumor_source="rtstruct")
    write_table(run.results / "cohort/used.parquet", used)
    problems = []
    if run.plan.exclusions:
        problems = [
            Problem("X01", "images", "empty-mask", "no voxel inside the contours", "a contour around the tumour",
                    "draw the tumour again, or leave the patient out", private="/secret/path"),
            Problem("X02", "ingest", "no-contours", "no RTSTRUCT & no SEG <none>", "one RTSTRUCT or SEG", "export it"),
            Problem("X03", "clinical", "baseline-metastasis", "M = M1", "no distant metastasis at baseline", "nothing"),
            Problem("P0001", "images", "contours-by-position", "other SOPInstanceUIDs", "the CT's own", "nothing",
                    excludes=False),
        ]  # fmt: skip
    write_table(run.results / "cohort/exclusions.parquet", public_table(problems))
    excluded = {p.code: 1 for p in problems if p.excludes}
    flow = {"clinical": n + 5, "found": n + len(excluded), "used": n, "excluded": excluded}
    write_json(run.results / "cohort/flow.json", flow)
    if imaging:
        write_table(run.results / "features/problems.parquet", public_table([]))
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for rule in ("convert_images/P0001", "convert_images/P0002", "evaluate"):
        write_text(run.results / f"benchmarks/{rule}.tsv", header + "12.5\t0:00:12\t350.1\t1\t1\t1\t0\t0\t95\t11.1\n")


def _endpoint(run, name, horizon, patients, site, risk, rng) -> None:
    n = len(patients)
    event_day = rng.exponential(2500 * np.exp(-0.9 * risk))
    if horizon is None:
        label = pd.array((event_day < 800).astype(int), dtype="Int8")
        outcome = pd.DataFrame({"patient": patients, "label": label, "time": np.nan})
        outcome["event"] = pd.array([None] * n, dtype="Int8")
        plain = {"events": int(label.sum()), "nonevents": int(n - label.sum()), "unknown": 0, "excluded": 0}
        counts = {"nonevent": plain}
    else:
        death, lost = rng.exponential(4000, n), rng.exponential(3500, n)
        time = np.ceil(np.minimum(np.minimum(event_day, death), lost))
        event = np.select([event_day <= np.minimum(death, lost), death <= lost], [1, 2], 0)
        label = np.where((event == 1) & (time <= horizon), 1.0, np.where((event == 0) & (time < horizon), np.nan, 0.0))
        died = int(np.sum((event == 2) & (time < horizon)))
        outcome = pd.DataFrame({"patient": patients, "label": pd.array(label, dtype="Int8"), "time": time})
        outcome["event"] = pd.array(event, dtype="Int8")
        events, nonevents, unknown = (int(x) for x in (np.sum(label == 1), np.sum(label == 0), np.isnan(label).sum()))
        base = {"events": events, "unknown": unknown}
        counts = {
            "nonevent": {**base, "nonevents": nonevents, "excluded": 0},
            "exclude": {**base, "nonevents": nonevents - died, "excluded": died},
        }
    strata = pd.DataFrame({"site": pd.Series(site, index=patients)})
    settings = FoldsSettings(k=run.plan.k, repeats=run.plan.repeats)
    folds, notes = make_folds(outcome, strata, settings, run.plan.seed, name)
    write_table(run.results / f"folds/{name}.parquet", folds)
    facts = {
        "name": name,
        "endpoint": {"horizon_days": horizon, "deaths": "nonevent"},
        "counts": counts,
        "notes": notes,
    }
    write_json(run.results / f"folds/{name}.json", facts)
    for repeat, rows in folds.groupby("repeat"):
        folder = run.results / f"models/{name}/as-is/r{repeat}"
        for fold in range(run.plan.k):
            _model(run, folder, rows, Place(name, repeat, fold), patients, risk, rng)
        if "radiomics" in run.plan.modalities:
            table = pd.concat([_selection(fit, rng) for fit in all_fits(run.plan.k)], ignore_index=True)
            write_table(folder / "selection.parquet", table.assign(endpoint=name, repeat=repeat))


def _model(run, folder, rows, place, patients, risk, rng) -> None:
    fold = place.fold
    feature_sets = feature_sets_of(run.plan.modalities)
    by_patient = dict(zip(patients, risk, strict=True))
    truth = rows["patient"].map(by_patient).to_numpy()
    tables, fits = [], {}
    for feature_set in feature_sets:
        parts = [part.split(":")[0] for part in feature_set.split("+")]
        fits[feature_set] = {}
        for classifier in ("network", "logistic"):
            signal = sum(STRENGTH[part] for part in parts) / len(parts) ** 0.5
            score = signal * truth + rng.normal(size=len(rows)) + 0.4 * fold
            part = np.where(rows["fold"] == fold, "test", "inner")
            probability = 1 / (1 + np.exp(1.5 - score))
            columns = {
                "patient": rows["patient"],
                "feature_set": feature_set,
                "classifier": classifier,
                "part": part,
                "probability": probability,
            }
            tables.append(pd.DataFrame(columns))
            known = rows[(rows["fold"] != fold) & rows["label"].notna()]
            fits[feature_set][classifier] = {
                "columns": ["age", "site=larynx"],
                "candidates": 2,
                "threshold": 0.3,
                "n_train": len(known),
                "events_train": int(known["label"].sum()),
                "columns_flagged": [],
            }
    write_table(folder / f"fold-{fold}/fusion/predictions.parquet", pd.concat(tables, ignore_index=True))
    primary = max(feature_sets, key=lambda feature_set: feature_set.count("+"))
    problem = Problem("", "fusion", "single-column", "site alone has AUC .97", "no column that knows the outcome",
                      "check that site was known before treatment", excludes=False)  # fmt: skip
    warnings = public_table([problem]).to_dict("records") if run.plan.exclusions else []
    fused = {"primary": primary, "modalities": list(run.plan.modalities), "feature_sets": fits, "warnings": warnings}
    write_json(folder / f"fold-{fold}/fusion/fits.json", asdict(place) | fused)
    if "deep" in run.plan.modalities:
        epochs = np.arange(12)
        losses = (0.7 * np.exp(-epochs / 8) + 0.05 * rng.random(12)).tolist()
        held_out = {"rows": 20, "events": 10, "losses": [loss + 0.05 for loss in losses] if fold == 0 else []}
        stopping = "early" if fold == 0 else "fixed"
        own = {"endpoint": place.endpoint, "repeat": place.repeat, "fit": fit_name(fold), "backbone": "swin"}
        own |= {"components": 4, "pretraining_losses": [0.3, 0.2, 0.1]}
        training = {**own, "epochs": 12, "losses": losses, "stopping": stopping, "holdout": held_out}
        write_json(folder / f"{fit_name(fold)}/deep/swin/training.json", training)


def _selection(fit: str, rng: np.random.Generator) -> pd.DataFrame:
    names = [f"original_{c}_{f}" for c in ("firstorder", "glcm", "glszm") for f in ("Mean", "Energy", "Zone", "Kurt")]
    parts = []
    for kind, region in (("radiomics", "tumor"), ("peri_radiomics", "ring_0_10mm")):
        kept = rng.random(len(names)) < np.linspace(0.95, 0.1, len(names))
        step = np.where(kept, "kept", rng.choice(["missing", "constant", "correlated", "rank"], len(names)))
        importance = np.where(kept, rng.random(len(names)) / 5, np.nan)
        table = pd.DataFrame({"feature": [f"{region}__{name}" for name in names], "kept": kept, "step": step})
        parts.append(table.assign(fit=fit, modality=kind, reason="", rank=np.nan, importance=importance))
    return pd.concat(parts, ignore_index=True)
