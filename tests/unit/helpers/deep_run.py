"""A cohort of tiny patches, and the training of one of its networks."""

from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from patch_file import collected

from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.files import write_table, write_volume
from metaswin.models.train_network import train_network

PATCHES = PatchesSettings(size=32, spacing=2.0, organ_groups={})


SETTINGS = DeepSettings(
    embed_dim=12,
    components=3,
    pretrain_epochs=2,
    epochs=4,
    warmup_epochs=1,
    threads=1,
    checkpoint_every=2,
    device="cpu",
)


COUNT = 12


def make_cohort(folder: Path) -> None:
    """Write patches and features of twelve patients, the last without a patch, and three folds of four."""
    random = np.random.default_rng(0)
    z, y, x = np.mgrid[:32, :32, :32] - 15.5
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = [index % 2 for index in range(COUNT)]
    for index, label in enumerate(labels):
        tumor = (radius < random.uniform(6, 10)).astype(np.float32)
        ct = (0.3 + 0.4 * label * tumor + 0.05 * random.standard_normal(tumor.shape)).astype(np.float32)
        channels = [ct, tumor, ((radius < 13) - tumor).astype(np.float32)]
        write_volume(folder / f"P{index:02d}.nii.gz", sitk.JoinSeries([sitk.GetImageFromArray(c) for c in channels]))
    (folder / f"P{COUNT - 1:02d}.nii.gz").write_bytes(b"")
    collected(folder)
    features = random.standard_normal((COUNT, 6))
    rows = {"patient": [f"P{index:02d}" for index in range(COUNT)], "region": "tumor", "voxels": 100}
    columns = {f"original_firstorder_{number}": features[:, number] for number in range(6)}
    write_table(folder / "radiomics.parquet", pd.DataFrame({**rows, **columns}))
    label = pd.array([*labels[:-2], None, labels[-1]], dtype="Int8")
    write_table(
        folder / "folds.parquet",
        pd.DataFrame(
            {
                "patient": [f"P{index:02d}" for index in range(COUNT)],
                "label": label,
                # Deaths of two non-events; the patient of unknown label was censored on day 300.
                "time": [*(100.0 + 20 * i if i % 2 else 400.0 + 50 * i for i in range(COUNT - 2)), 300.0, 90.0],
                "event": pd.array([0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 0, 1], dtype="Int8"),
                "repeat": 0,
                "fold": [*[0] * 4, *[1, 1, 2, 2] * 2],
            }
        ),
    )


def train(folder: Path, out: Path, fit: str = "without-0", settings: DeepSettings = SETTINGS, seed: int = 1) -> Path:
    """Train the network of one fit on the cohort of `folder`; the folder of its outputs."""
    train_network(
        str(folder / "patches.safetensors"),
        str(folder / "folds.parquet"),
        str(out / fit / "network.safetensors"),
        str(out / fit / "training.json"),
        out / "scratch" / fit,
        {"endpoint": "dm", "repeat": 0, "fit": fit, "backbone": settings.backbone},
        settings,
        PATCHES,
        seed,
        radiomics=str(folder / "radiomics.parquet"),
    )
    return out / fit
