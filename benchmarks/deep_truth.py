"""What the deep network finds in simulated images whose truth is known, and what each part of its training adds.

    python benchmarks/deep_truth.py --out runs/deep-truth [--preset reference] [--seeds 7 8 9] [-n 400]
        [--variants full longer batch-4 labelled-rows outcome-only no-narrow no-moments fine-tuned noise
        resnet densenet]
        [--folds 0 1 2 3 4] [--fusion] [--jobs 2]

The images of a cohort are made in memory and go through the functions of the pipeline (organs by threshold, regions,
radiomics, patches); patches, features, the truth and the clinical table are kept in OUT/<preset>-<seed>. Each variant
trains the network that leaves out a fold, for every fold, and scores that fold's patients. Rows are added to
OUT/results.csv; a row that is there already is not repeated. Prints the mean AUC over the folds of each cohort beside
those of a reader who knows the planted numbers, of the tumour volume, and of the head on the radiomics components
themselves, which the encoder learns. With --fusion, the networks of the inner folds are trained too, and the pipeline's
selection and fusion are run with and without the networks' scores.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

PATCH = {"size": 24, "spacing": 2.5}
NETWORK = {
    "embed_dim": 24,
    "window_size": 3,
    "batch_size": 8,
    "dropout": 0.2,
    "warmup_epochs": 3,
    "augmentation": {"noise": 0.0},
    "threads": 1,
    "device": "cpu",
    "early_stopping_events": 1000,
}
GUIDED = {"components": 16, "pretrain_epochs": 25}
VARIANTS = {
    "full": GUIDED,
    "longer": {**GUIDED, "pretrain_epochs": 50},
    "batch-4": {**GUIDED, "batch_size": 4},
    "labelled-rows": GUIDED,
    "fine-tuned": {**GUIDED, "epochs": 8, "learning_rate": 1e-4},
    "outcome-only": {"components": 0, "epochs": 25, "learning_rate": 5e-4},
    "noise": {**GUIDED, "augmentation": {"noise": 0.02}},
    "no-narrow": GUIDED,
    "no-moments": GUIDED,
    "resnet": {**GUIDED, "backbone": "resnet", "resnet_depth": 10},
    "densenet": {**GUIDED, "backbone": "densenet"},
}
FOLDS = 5
CLINICAL = {"age": "numeric", "smoking_status": "category", "alcohol": "category", "n_stage": "category"}
JOINT = "clinical+radiomics+peri_radiomics"
FEATURE_SETS = [f"{JOINT}+deep", JOINT]
PERMUTATIONS = 20
HORIZON = 730  # days
LATENT = ["texture", "volume", "peritumoral"]


def main() -> None:
    """Make the cohorts, train the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="reference")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("-n", type=int, default=400)
    parser.add_argument("--variants", nargs="+", choices=sorted(VARIANTS), default=["full", "outcome-only"])
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--fusion", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        folder = arguments.out / f"{arguments.preset}-{seed}"
        if not (folder / "patches.npy").exists():
            make_cohort(folder, arguments.preset, seed, arguments.n, arguments.jobs)
    path = arguments.out / "results.csv"
    keys = ["preset", "seed", "variant", "fold"]
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=keys)
    there = set(done[keys].itertuples(index=False, name=None))
    variants = ["readers", *arguments.variants, *(["fusion"] if arguments.fusion else [])]
    places = [
        (arguments.preset, seed, variant, fold)
        for seed in arguments.seeds
        for variant in variants
        for fold in arguments.folds
        if (arguments.preset, seed, variant, fold) not in there
    ]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        if arguments.fusion:
            fits = {
                (*place[:2], "full", fit): None for place in places if place[2] == "fusion" for fit in fits_of(place)
            }
            list(pool.map(network_scores, [arguments.out] * len(fits), fits))
        for rows in pool.map(run, [arguments.out] * len(places), places):
            done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
            done.to_csv(path, index=False)
    shown = done[done["preset"] == arguments.preset]
    print(shown.pivot_table(index="model", columns="seed", values="auc", margins=True).round(3).to_markdown())
    print(shown.groupby("model")[[*LATENT, "seconds"]].mean().round(2).to_markdown())


def make_cohort(folder: Path, preset: str, seed: int, n: int, jobs: int) -> None:
    """Write patches, tumour and ring features, truth and clinical table of a simulated cohort."""
    from metaswin.simulate import clinical, risk
    from metaswin.simulate.cohort import _image_plans
    from metaswin.simulate.options import preset_options
    from metaswin.simulate.population import STREAM_COHORT, draw_patients, draw_uniforms

    options = preset_options(preset, n=n, seed=seed)
    base = risk.baseline(options)
    uniforms = draw_uniforms(STREAM_COHORT, options.seed, options.n)
    patients = draw_patients(uniforms, options)
    outcome = risk.draw_outcome(patients, uniforms, options, base)
    plans = _image_plans(patients, uniforms, options)
    with ProcessPoolExecutor(jobs) as pool:
        made = list(pool.map(images_of, plans, chunksize=4))
    folder.mkdir(parents=True, exist_ok=True)
    clinical.truth_table(patients, options, base).to_csv(folder / "truth.csv", index=False)
    clinical.clinical_table(patients, outcome, uniforms, options).to_csv(folder / "clinical.csv", index=False)
    pd.concat([table for table, _ in made]).to_parquet(folder / "radiomics.parquet")
    np.save(folder / "patches.npy", np.stack([patch for _, patch in made]))


def images_of(plan) -> tuple[pd.DataFrame, np.ndarray]:
    """Features (tumour, rings) and patch (float16) of one simulated patient."""
    import SimpleITK as sitk

    from metaswin.config.imaging import OrgansSettings, PatchesSettings, RegionsSettings
    from metaswin.core.files import read_table, write_volume
    from metaswin.core.grid import Grid
    from metaswin.core.status import Status, write_status
    from metaswin.features.radiomics import RadiomicsInputs, extract_patient
    from metaswin.imaging.organs import segment_patient
    from metaswin.imaging.patch_file import read_patch
    from metaswin.imaging.patches import PatientFiles, make_patch
    from metaswin.imaging.regions import regions_of_patient
    from metaswin.radiomics.settings import RadiomicsSettings
    from metaswin.simulate.lesions import add_lesions
    from metaswin.simulate.phantom import build_anatomy
    from metaswin.simulate.population import STREAM_IMAGE, generator
    from metaswin.simulate.scanners import SCANNERS, acquire, scan_grid

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    scanner = SCANNERS[plan.scanner]
    grid = scan_grid(scanner, plan.matrix, plan.coverage)
    random = generator(STREAM_IMAGE, *plan.subject.key)
    anatomy = build_anatomy(grid, random, plan.lesions.contrast)
    lesions = add_lesions(anatomy, grid, plan.lesions, random)
    for names in (scanner.primary_names, scanner.node_names):
        random.choice(names)  # the names of the contours, drawn here by `metaswin simulate`
    hu = acquire(anatomy.hu, grid, scanner, plan.scanner_shift, random)
    labels = np.zeros(hu.shape, np.uint8)
    for number, role in ((2, "nodes"), (1, "primary")):
        for lesion in lesions:
            if lesion.role == role:
                labels[lesion.mask] = number
    voxels = Grid(grid.size, grid.spacing, grid.origin, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    with TemporaryDirectory() as folder:
        f = {name: f"{folder}/{name}" for name in ("ct", "tumor", "organs", "crop", "regions", "patch")}
        f = {name: f"{path}.nii.gz" for name, path in f.items()}
        s = {name: f"{folder}/{name}.json" for name in ("images", "names", "organs", "facts", "regions", "last")}
        table, private = f"{folder}/features.parquet", f"{folder}/details"
        write_volume(f["ct"], voxels.image(hu))
        write_volume(f["tumor"], voxels.image(labels))
        write_status(s["images"], Status(plan.subject.patient, "images"), private)
        organs = OrgansSettings(backend="threshold")
        segment_patient(f["ct"], f["tumor"], s["images"], f["organs"], s["names"], s["organs"], organs, private)
        regions_of_patient(
            f["ct"], f["tumor"], f["organs"], s["names"], s["organs"],
            f["crop"], f["regions"], s["facts"], s["regions"], RegionsSettings(), private,
        )  # fmt: skip
        extract_patient(
            RadiomicsInputs(f["crop"], f["regions"], s["facts"], s["regions"]),
            table, s["last"], RadiomicsSettings(regions=["tumor", "rings"]), private,
        )  # fmt: skip
        files = PatientFiles(
            f["ct"], f["tumor"], f["organs"], s["names"], f["regions"], s["facts"], s["regions"]
        )  # fmt: skip
        # A patch has at least 32 voxels an edge; the network sees its centre.
        settings = PatchesSettings(size=32, spacing=PATCH["spacing"])
        make_patch(files, f["patch"], s["last"], settings, private)
        cut = slice((32 - PATCH["size"]) // 2, (32 + PATCH["size"]) // 2)
        patch = read_patch(f["patch"])[:, cut, cut, cut].astype(np.float16)
        return read_table(table), patch


@dataclass(frozen=True)
class Cohort:
    """A cohort of OUT; the rows of every attribute are the patients."""

    folder: Path
    truth: pd.DataFrame
    clinical: pd.DataFrame
    long: pd.DataFrame
    features: pd.DataFrame
    folds: pd.DataFrame

    @classmethod
    def of(cls, out: Path, preset: str, seed: int) -> "Cohort":
        """Read a cohort and make its folds."""
        from metaswin.cohort.folds import make_folds
        from metaswin.config.cohort import FoldsSettings
        from metaswin.config.features import RADIOMICS
        from metaswin.features.matrix import wide

        folder = out / f"{preset}-{seed}"
        truth, clinical = pd.read_csv(folder / "truth.csv"), pd.read_csv(folder / "clinical.csv")
        outcome, ids = outcome_of(clinical), truth["patient_id"].tolist()
        strata = pd.DataFrame(index=outcome["patient"])
        folds, _ = make_folds(outcome, strata, FoldsSettings(k=FOLDS), seed, "dm")
        long = pd.read_parquet(folder / "radiomics.parquet")
        features = pd.concat([wide(long, modality, ids) for modality in RADIOMICS], axis="columns")
        return cls(folder, truth, clinical, long, features, folds.set_index("patient").loc[ids].reset_index())

    def targets(self, rows: np.ndarray, components: np.ndarray):
        """What a network learns about some rows."""
        from metaswin.models.guidance import Targets

        columns = self.folds.loc[rows, ["label", "time", "event"]].to_numpy(dtype=float, na_value=np.nan)
        return Targets(*columns.T, components)

    def outside(self, fit: str) -> np.ndarray:
        """The rows outside the folds that a fit leaves out."""
        from metaswin.cohort.fits import left_out

        return np.flatnonzero(~self.folds["fold"].isin(left_out(fit)))

    def test(self, fold: int) -> np.ndarray:
        """The rows of a fold with a known label."""
        return np.flatnonzero((self.folds["fold"] == fold) & self.folds["label"].notna())

    def auc(self, scores: np.ndarray, fold: int) -> float:
        """AUC of scores of all rows in a fold."""
        from sklearn.metrics import roc_auc_score

        test = self.test(fold)
        return roc_auc_score(self.folds.loc[test, "label"].astype(int), scores[test])


def run(out: Path, place: tuple) -> list[dict]:
    """Rows of one variant in one fold."""
    preset, seed, variant, fold = place
    where = {"preset": preset, "seed": seed, "variant": variant, "fold": fold}
    cohort = Cohort.of(out, preset, seed)
    if variant == "readers":
        return [{**where, "model": model, "auc": auc} for model, auc in readers(cohort, fold).items()]
    if variant == "fusion":
        return [{**where, "model": model, "auc": auc} for model, auc in fusion(out, cohort, place).items()]
    fit = fits_of(place)[0]
    scores, described, seconds = network_scores(out, (preset, seed, variant, fit))
    train = cohort.outside(fit)
    found = planted_numbers(cohort, described, train, cohort.test(fold))
    aucs = {variant: cohort.auc(scores, fold)}
    aucs |= {f"{variant}, {head}": auc for head, auc in heads(cohort, described, train, fold).items()}
    return [{**where, "model": model, "auc": auc, "seconds": seconds, **found} for model, auc in aucs.items()]


def fits_of(place: tuple) -> list[str]:
    """The fits of a fold, the final fit first."""
    from metaswin.cohort.fits import outer_fits

    return outer_fits(place[3], FOLDS)


def readers(cohort: Cohort, fold: int) -> dict[str, float]:
    """AUC of the network's head on numbers that no network has to find."""
    from metaswin.models.guidance import head_weights, radiomics_components

    train = cohort.outside(f"without-{fold}")
    tumor = cohort.long[cohort.long["region"] == "tumor"].set_index("patient")
    volume = np.log(tumor["original_shape_VoxelVolume"].reindex(cohort.truth["patient_id"]))
    inputs = {
        "perfect reader": cohort.truth[LATENT].to_numpy(),
        "volume": volume.to_numpy()[:, None],
        # Components of all rows: this line says what the targets hold, it is not a model.
        "radiomics components": radiomics_components(cohort.features, GUIDED["components"]).astype(float),
    }
    none = np.empty((len(train), 0), np.float32)
    heads = {name: head_weights(values[train], cohort.targets(train, none))[0] for name, values in inputs.items()}
    return {name: cohort.auc(values @ heads[name], fold) for name, values in inputs.items()}


def heads(cohort: Cohort, described: np.ndarray, train: np.ndarray, fold: int) -> dict[str, float]:
    """AUC of heads on components that a ridge regression reads from the features: with times, with labels, permuted.

    The components do not depend on the outcome, so a permutation of the outcomes needs no new network.
    """
    from sklearn.linear_model import Ridge

    from metaswin.models.guidance import Targets, head_weights, radiomics_components

    components = radiomics_components(cohort.features.iloc[train], GUIDED["components"])
    predicted = Ridge(10).fit(described[train], components).predict(described)

    def auc(outcomes: Cohort, targets: Targets) -> float:
        return outcomes.auc(predicted @ head_weights(predicted[train], targets)[0], fold)

    timed = cohort.targets(train, components)
    found = {"head with times": auc(cohort, timed), "head with labels": auc(cohort, Targets.of_labels(timed.labels))}
    random, outcome = np.random.default_rng(fold), ["label", "time", "event"]
    permuted = []
    for _ in range(PERMUTATIONS):
        folds = cohort.folds.copy()
        folds[outcome] = folds[outcome].iloc[random.permutation(len(folds))].reset_index(drop=True)
        other = replace(cohort, folds=folds)
        permuted.append(auc(other, other.targets(train, components)))
    return {**found, "permuted outcomes": float(np.mean(permuted))}


def planted_numbers(cohort: Cohort, described: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Rank correlation, in test rows, of each planted number with a ridge regression on the features."""
    from scipy.stats import spearmanr
    from sklearn.linear_model import Ridge

    found = {}
    for name in LATENT:
        model = Ridge(10).fit(described[train], cohort.truth.loc[train, name])
        found[name] = spearmanr(model.predict(described[test]), cohort.truth.loc[test, name])[0]
    return found


def fusion(out: Path, cohort: Cohort, place: tuple) -> dict[str, float]:
    """AUC of the pipeline's fusion of clinical and radiomics features, alone, with the networks' and a reader's scores.

    The score of a training row comes from a network, or from a regression on the planted numbers, that left it out.
    """
    from metaswin.cohort.folds import Folds, Place
    from metaswin.config.features import SelectionSettings
    from metaswin.config.models import FusionSettings
    from metaswin.core.files import read_table, write_table
    from metaswin.features.fit_tables import SelectionInputs, select_features
    from metaswin.features.matrix import VOLUME
    from metaswin.features.modalities import ModalityFiles
    from metaswin.models.fusion import FoldOutputs, ThresholdRule, train_fusion
    from metaswin.models.guidance import head_weights

    preset, seed, _, fold = place
    rows = Folds.of(cohort.folds, 0).outer(fold)
    found = {}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = {name: pd.Series(np.nan, index=rows.patients) for name in ("deep", "reader")}
        for fit in fits_of(place):
            train, scored = cohort.outside(fit), rows.folds.chosen(rows.scored(fit))
            planted = cohort.truth[LATENT].to_numpy()
            weights = head_weights(planted[train], cohort.targets(train, np.empty((len(train), 0))))[0]
            found_by = {"deep": network_scores(out, (preset, seed, "full", fit))[0], "reader": planted @ weights}
            for source, scores in found_by.items():
                sources[source][scored] = pd.Series(scores, cohort.folds["patient"])[scored]
        for source, score in sources.items():
            table = pd.DataFrame({"patient": rows.patients, "score": score.to_numpy()})
            write_table(folder / f"{source}.parquet", table)
        roles = json.dumps(dict.fromkeys(CLINICAL, "baseline"))
        table = cohort.clinical.rename(columns={"patient_id": "patient"})[["patient", *CLINICAL]]
        write_table(folder / "clinical.parquet", table, {"roles": roles, "kinds": json.dumps(CLINICAL)})
        write_table(folder / "folds.parquet", cohort.folds)
        write_table(folder / "features.parquet", cohort.long)
        tumor = cohort.long[cohort.long["region"] == "tumor"]
        used = pd.DataFrame({"patient": tumor["patient"], VOLUME: tumor["original_shape_VoxelVolume"]})
        write_table(folder / "used.parquet", used)
        tables = {
            (fit, modality): str(folder / f"{fit}-{modality}.parquet")
            for fit in fits_of(place)
            for modality in ("radiomics", "peri_radiomics")
        }
        path = {name: str(folder / f"{name}.parquet") for name in ("features", "folds", "used", "clinical")}
        inputs = SelectionInputs(path["features"], path["folds"], path["used"])
        ignored = [str(folder / f"{name}.parquet") for name in ("selection", "volume")]
        select_features(inputs, *ignored, tables, "dm", 0, SelectionSettings(), seed)
        for source in sources:
            outputs = FoldOutputs(*(str(folder / f"{source}-{key}") for key in ("predictions", "fits", "models")))
            sets = FEATURE_SETS if source == "deep" else FEATURE_SETS[:1]
            settings = FusionSettings(feature_sets=sets, primary_feature_set=sets[0])
            files = ModalityFiles(path["clinical"], tables, deep=str(folder / f"{source}.parquet"))
            where, clinical = Place("dm", 0, fold), {"all": list(CLINICAL)}
            train_fusion(path["folds"], files, outputs, where, clinical, settings, ThresholdRule(), seed)
            for (name, classifier), part in read_table(outputs.predictions).groupby(["feature_set", "classifier"]):
                probability = part.set_index("patient")["probability"].reindex(cohort.folds["patient"]).to_numpy()
                found[f"{name.replace('deep', source)}, {classifier}"] = cohort.auc(probability, fold)
    return found


def outcome_of(table: pd.DataFrame) -> pd.DataFrame:
    """Metastasis within two years of a simulated clinical table, as the pipeline's endpoint defines it."""
    metastasis, dead = table["dm_event"] == 1, table["death_event"] == 1
    time_ = table["dm_time_days"].where(metastasis, table["followup_days"])
    event = np.select([metastasis, dead], [1, 2], 0)
    label = np.where(metastasis & (time_ <= HORIZON), 1.0, np.where((time_ >= HORIZON) | dead, 0.0, np.nan))
    label = pd.Series(label).astype("Int8")
    return pd.DataFrame({"patient": table["patient_id"], "label": label, "time": time_, "event": event})


def settings_of(variant: str):
    """The settings of a variant's network."""
    from metaswin.config.models import DeepSettings

    return DeepSettings(**{**NETWORK, **VARIANTS[variant]})


def network_scores(out: Path, place: tuple) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores and standardised features of all patients by the network of one fit, and the CPU seconds of its training.

    They are stored in OUT/<cohort>/<variant>-<fit>.npz.
    """
    import torch

    from metaswin.cohort.folds import seed_of
    from metaswin.models.backbones import build
    from metaswin.models.guidance import radiomics_components
    from metaswin.models.training import Scratch, fit

    preset, seed, variant, name = place
    cohort = Cohort.of(out, preset, seed)
    stored = cohort.folder / f"{variant}-{name}.npz"
    if stored.exists():
        found = np.load(stored)
        return found["scores"], found["described"], float(found["seconds"])
    torch.set_num_threads(1)
    start = time.process_time()
    settings, train = settings_of(variant), cohort.outside(name)
    if variant in ("labelled-rows", "outcome-only"):
        train = train[cohort.folds.loc[train, "label"].notna()]
    targets = cohort.targets(train, radiomics_components(cohort.features.iloc[train], settings.components))
    patches = torch.from_numpy(np.load(cohort.folder / "patches.npy"))
    torch.manual_seed(seed_of(seed, name))
    network = build(settings.backbone, settings, patches.shape[1])
    network.fit_contrast(patches[train])
    if variant == "no-narrow":
        network.contrast[1] = 1e9
    if variant == "no-moments":
        whole, kept = network.encoder.forward, 16 * settings.embed_dim
        network.encoder.forward = lambda patches: torch.nn.functional.pad(
            whole(patches)[:, :kept], (0, network.width - kept)
        )
    with TemporaryDirectory() as state:
        fit(network, patches[train], targets, settings, seed, Scratch(state, {}))
    seconds, network = time.process_time() - start, network.eval()
    scores, described = [], []
    with torch.inference_mode():
        for rows in patches.split(16):
            logits, features = network(rows.float())
            scores.append(logits - network.prior)
            described.append(network.standardise(features))
    scores, described = torch.cat(scores).numpy(), torch.cat(described).numpy()
    np.savez(stored, scores=scores, described=described, seconds=seconds)
    return scores, described, seconds


if __name__ == "__main__":
    main()
