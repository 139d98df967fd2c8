"""What the deep network finds in simulated images whose truth is known, and what each part of its training adds.

    python benchmarks/deep_truth.py --out runs/deep-truth [--preset reference] [--seeds 7 8 9] [-n 400]
        [--variants full longer label-head labelled-rows outcome-only no-narrow no-moments fine-tuned noise
        resnet densenet]
        [--folds 0 1 2 3 4] [--jobs 2]

The images of a cohort are made in memory and go through the functions of the pipeline (organs by threshold, regions,
radiomics, patches); patches, features, the truth and the clinical table are kept in OUT/<preset>-<seed>. Each variant
trains the network that leaves out a fold, for every fold, and scores that fold's patients. Rows are added to
OUT/results.csv; a row that is there already is not repeated. Prints the mean AUC over the folds of each cohort beside
those of a reader who knows the planted numbers, of the tumour volume, and of the head on the radiomics components
themselves, which the encoder learns.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
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
    "label-head": GUIDED,
    "labelled-rows": GUIDED,
    "fine-tuned": {**GUIDED, "epochs": 8, "learning_rate": 1e-4},
    "outcome-only": {"components": 0, "epochs": 25, "learning_rate": 5e-4},
    "noise": {**GUIDED, "augmentation": {"noise": 0.02}},
    "no-narrow": GUIDED,
    "no-moments": GUIDED,
    "resnet": {**GUIDED, "backbone": "resnet", "resnet_depth": 10},
    "densenet": {**GUIDED, "backbone": "densenet"},
}
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
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
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
    wanted = [
        (arguments.preset, seed, variant, fold)
        for seed in arguments.seeds
        for variant in ["readers", *arguments.variants]
        for fold in arguments.folds
        if (arguments.preset, seed, variant, fold) not in there
    ]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for rows in pool.map(run, [arguments.out] * len(wanted), wanted):
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


def run(out: Path, place: tuple) -> list[dict]:
    """Rows of one variant in one fold."""
    import torch
    from scipy.stats import spearmanr
    from sklearn.linear_model import Ridge
    from sklearn.metrics import roc_auc_score

    from metaswin.cohort.folds import make_folds
    from metaswin.config.cohort import FoldsSettings
    from metaswin.config.features import RADIOMICS
    from metaswin.features.matrix import wide
    from metaswin.models.guidance import Targets, head_weights, radiomics_components

    torch.set_num_threads(1)
    preset, seed, variant, fold = place
    folder = out / f"{preset}-{seed}"
    truth, long = pd.read_csv(folder / "truth.csv"), pd.read_parquet(folder / "radiomics.parquet")
    outcome, ids = outcome_of(pd.read_csv(folder / "clinical.csv")), truth["patient_id"].tolist()
    folds, _ = make_folds(outcome, pd.DataFrame(index=outcome["patient"]), FoldsSettings(k=5), seed, "dm")
    folds = folds.set_index("patient").reindex(ids)
    label, time_, event = (folds[name].to_numpy(dtype=float) for name in ("label", "time", "event"))
    left_out, known = (folds["fold"] == fold).to_numpy(), ~np.isnan(label)
    test = np.flatnonzero(left_out & known)
    features = pd.concat([wide(long, modality, ids) for modality in RADIOMICS], axis="columns")
    where = {"preset": preset, "seed": seed, "variant": variant, "fold": fold}

    def auc(scores: np.ndarray) -> float:
        return roc_auc_score(label[test], scores[test])

    def targets_of(rows: np.ndarray, components: np.ndarray) -> Targets:
        return Targets(label[rows], time_[rows], event[rows], components)

    if variant == "readers":
        train = np.flatnonzero(~left_out)
        volume = np.log(long[long["region"] == "tumor"].set_index("patient")["original_shape_VoxelVolume"].reindex(ids))

        def reader(values: np.ndarray) -> float:
            return auc(values @ head_weights(values[train], targets_of(train, values[train]))[0])

        readers = {
            "perfect reader": truth[LATENT].to_numpy(),
            "volume": volume.to_numpy()[:, None],
            # Components of all rows: this line says what the targets hold, it is not a model.
            "radiomics components": radiomics_components(features, GUIDED["components"]).astype(float),
        }
        return [{**where, "model": model, "auc": reader(values)} for model, values in readers.items()]
    start = time.process_time()
    chosen = ~left_out & known if variant in ("labelled-rows", "outcome-only") else ~left_out
    train = np.flatnonzero(chosen)
    settings = settings_of(variant)
    components = radiomics_components(features.iloc[train], settings.components)
    targets = targets_of(train, components)
    if variant == "label-head":
        targets = replace(targets, time=np.full(len(train), np.nan))
    network = trained(folder, train, targets, variant, seed, fold)
    seconds = time.process_time() - start
    scores, described = scored(network, np.load(folder / "patches.npy"))
    found = {}
    for name in LATENT:
        model = Ridge(10).fit(described[train], truth.loc[train, name])
        found[name] = spearmanr(model.predict(described[test]), truth.loc[test, name])[0]
    return [{**where, "model": variant, "auc": auc(scores), "seconds": seconds, **found}]


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


def trained(folder: Path, train: np.ndarray, targets, variant: str, seed: int, fold: int):
    """The network of a variant, trained on these rows."""
    import torch

    from metaswin.models.backbones import build
    from metaswin.models.training import Scratch, fit

    settings = settings_of(variant)
    patches = torch.from_numpy(np.load(folder / "patches.npy")[train])
    torch.manual_seed(1000 * seed + fold)
    network = build(settings.backbone, settings, patches.shape[1])
    network.fit_contrast(patches)
    if variant == "no-narrow":
        network.contrast[1] = 1e9
    if variant == "no-moments":
        whole, kept = network.encoder.forward, 16 * settings.embed_dim
        network.encoder.forward = lambda patches: torch.nn.functional.pad(
            whole(patches)[:, :kept], (0, network.width - kept)
        )
    with TemporaryDirectory() as state:
        fit(network, patches, targets, settings, seed, Scratch(state, {}))
    return network.eval()


def scored(network, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and standardised features of all patients."""
    import torch

    scores, described = [], []
    with torch.inference_mode():
        for rows in torch.from_numpy(patches).split(16):
            logits, features = network(rows.float())
            scores.append(logits)
            described.append(network.standardise(features))
    return torch.cat(scores).numpy(), torch.cat(described).numpy()


if __name__ == "__main__":
    main()
