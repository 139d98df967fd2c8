"""Training state that outlives a killed job."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch

from metaswin.files import atomic

logger = logging.getLogger("metaswin.deep")


class Scratch:
    """One file of training state, named by a hash of all that the training depends on.

    Snakemake deletes the declared outputs of an interrupted job, so this file is not declared. A state left by other
    settings has another name: it is never resumed from, and goes when the training of the same folder ends.

    Parameters
    ----------
    folder : path
        Folder of this job alone.
    facts : dict
        What the training depends on; plain values.
    """

    def __init__(self, folder: str | Path, facts: dict[str, Any]) -> None:
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        self.path = Path(folder) / f"{self.key}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state by `state`: tensors and plain values."""
        with atomic(self.path) as temporary:
            torch.save(state, temporary)

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none that can be read."""
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its unpickler meets
            logger.warning("the state to resume from cannot be read (%s); training starts anew", type(error).__name__)
            return None

    def remove(self) -> None:
        """Remove every state of the folder."""
        if self.path.parent.is_dir():
            for file in self.path.parent.glob("*.pt"):
                file.unlink(missing_ok=True)
            # Only our own empty folder goes.
            if not any(self.path.parent.iterdir()):
                self.path.parent.rmdir()
