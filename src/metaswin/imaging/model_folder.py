"""Check a user's nnU-Net model folder before the run starts."""

import json
from pathlib import Path

from metaswin.config.imaging import NnunetSettings

FILES = ("plans.json", "dataset.json")


def check_model_folder(settings: NnunetSettings) -> list[str]:
    """Return what is wrong with ``images.nnunet``, as messages for the user; empty if the model can run.

    The function reads the two JSON files of the folder, never the weights.
    """
    if not settings.model_folder:
        return ["images.nnunet.model_folder: not set; name the nnU-Net v2 model folder that draws the tumour"]
    folder = Path(settings.model_folder)
    if not folder.is_dir():
        return [f"images.nnunet.model_folder: found no folder {folder}; expected …/<trainer>__<plans>__<configuration>"]
    messages = [
        f"images.nnunet.model_folder: {folder} has no {file.relative_to(folder)}; expected a trained nnU-Net v2 model"
        for file in model_files(settings)
        if not file.is_file()
    ]
    return messages or _check_dataset(folder / "dataset.json", settings)


def model_files(settings: NnunetSettings) -> list[Path]:
    """Return the files of the model that a prediction reads."""
    folder = Path(settings.model_folder or "")
    return [*(folder / name for name in FILES), *(folder / f"fold_{f}" / settings.checkpoint for f in settings.folds)]


def _check_dataset(path: Path, settings: NnunetSettings) -> list[str]:
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
        channels, labels = dataset["channel_names"], dataset["labels"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"images.nnunet.model_folder: {path} cannot be read ({error}); expected nnU-Net v2's dataset.json"]
    messages = []
    if len(channels) != 1:
        messages.append(f"images.nnunet.model_folder: the model has {len(channels)} channels; expected one, the CT")
    known = {value for entry in labels.values() for value in (entry if isinstance(entry, list) else [entry])}
    for key in ("primary_label", "nodes_label"):
        label = getattr(settings, key)
        if label is not None and label not in known - {0}:
            names = ", ".join(f"{value} ({name})" for name, value in labels.items() if value != 0)
            messages.append(f"images.nnunet.{key}: found {label}; expected a label of the model: {names}")
    return messages
