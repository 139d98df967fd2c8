"""Check the file of a frozen encoder before a run, and read the facts stored with a network. torch is not needed."""

import json
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from metaswin.config.features import EmbeddingSettings
from metaswin.config.imaging import PatchesSettings
from metaswin.imaging.patch_file import channel_names

HOW_TO = "docs/howto/embeddings.md describes the export"
# Key of the metadata that `metaswin.models.deep_features.save_network` writes. There is one key only, because
# safetensors writes several keys in an order that changes between runs.
KEY = "metaswin"


def check_encoder(settings: EmbeddingSettings, patches: PatchesSettings) -> list[str]:
    """Return one message per error of the file ``embedding.model``; no message if it can be used.

    A network of another study needs patches that are made with the settings of its own patches.
    """
    path = Path(settings.model or "")
    if not path.is_file():
        return [f"embedding.model: no file {path} (looked from {Path.cwd()})"]
    if not settings.reads_patches:
        return [] if is_torchscript(path) else [f"embedding.model: {path} is not a TorchScript file; {HOW_TO}"]
    try:
        facts = read_facts(path)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        return [
            f"embedding.model: {path} is not a network that metaswin wrote; give a network.safetensors of "
            f"results/models, or an encoder in TorchScript (.pt; {HOW_TO})"
        ]
    trained, here = facts["patches"], patches.model_dump(mode="json")
    messages = [
        f"patches.{name}: found {here.get(name)!r}, but the network in embedding.model was trained on patches with "
        f"{trained.get(name)!r}; use the same value"
        for name in {**trained, **here}
        if trained.get(name) != here.get(name)
    ]
    if not messages and facts["channels"] != channel_names(patches):
        messages.append(
            f"patches.organ_groups: found the channels {', '.join(channel_names(patches))}, but the network in "
            f"embedding.model was trained with {', '.join(facts['channels'])}; use the same order"
        )
    return messages


def is_torchscript(path: str | Path) -> bool:
    """Return whether a file is a program that torch.jit.save wrote; weights alone have no code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names)


def read_facts(path: str | Path) -> dict[str, Any]:
    """Return the facts that metaswin stored with a network: ``backbone, architecture, patches, channels``."""
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()[KEY])
