"""One file of patches, as rule collect_patches writes it, for tests of networks."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.core.files import write_table
from metaswin.core.used import patient_of
from metaswin.imaging.patch_file import collect_patches


def collected(folder: Path) -> str:
    """Collect the patches ``*.nii.gz`` of a folder, all of them used; the path of the file."""
    paths = sorted(folder.glob("*.nii.gz"))
    write_table(folder / "all.parquet", pd.DataFrame({"patient": [patient_of(path) for path in paths]}))
    collect_patches(paths, folder / "all.parquet", folder / "patches.safetensors")
    return str(folder / "patches.safetensors")


def spoil(source: str | Path, target: str | Path, patients: list[str]) -> None:
    """Copy a file of patches, those of some patients NaN."""
    values = load_file(source)
    save_file({name: np.full_like(v, np.nan) if name in patients else v for name, v in values.items()}, target)
