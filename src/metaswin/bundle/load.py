"""Read a bundle: JSON and safetensors only, after every hash was checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metaswin.bundle.arms import BundledArm
from metaswin.bundle.identity import id_hash
from metaswin.bundle.manifest import fingerprint, tampering
from metaswin.errors import several
from metaswin.files import read_json


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are as they were written.

    Attributes
    ----------
    folder : Path
    facts : dict
        ``bundle.json``.
    """

    folder: Path
    facts: dict[str, Any]

    @property
    def endpoints(self) -> dict[str, dict[str, Any]]:
        """Endpoint → what is told of it."""
        return self.facts["endpoints"]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Settings that new patients go through."""
        return read_json(self.folder / "config.json")

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.folder)

    @cached_property
    def _training(self) -> Mapping[str, Any]:
        return read_json(self.folder / "training.json")

    def arms(self, endpoint: str) -> list[BundledArm]:
        """Arms of an endpoint, the headline first, then those that stand in for it."""
        return [BundledArm.from_json(raw) for raw in self.endpoints[endpoint]["arms"]]

    def members(self, endpoint: str) -> list[tuple[int, int]]:
        """Repeat and fold of each member."""
        return [(repeat, fold) for repeat, fold in self.endpoints[endpoint]["members"]]

    def member_folder(self, endpoint: str, member: tuple[int, int]) -> Path:
        return self.folder / endpoint / f"r{member[0]}-f{member[1]}"

    def ranges(self, endpoint: str) -> dict[str, Any]:
        """Ranges and levels of the training patients."""
        return read_json(self.folder / endpoint / "ranges.json")

    def scores(self, endpoint: str) -> dict[str, Any]:
        """Arm → how the training patients' inner cross-fitted risks lie, see `metaswin.bundle.scores`."""
        return read_json(self.folder / endpoint / "scores.json")

    def folds_of(self, endpoint: str, patient: str) -> list[int] | None:
        """Test fold of a training patient in each repeat; None for whom the training cohort did not have."""
        return self._training["endpoints"][endpoint].get(id_hash(self._training["key"], patient))

    def blocks(self) -> set[str]:
        """Blocks that any bundled arm joins."""
        return {block for name in self.endpoints for arm in self.arms(name) for block in arm.blocks}


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle.

    Raises
    ------
    UserError
        If it is none, or a file was altered.
    """
    folder = Path(folder)
    messages = tampering(folder)
    if messages:
        raise several("The bundle cannot be used:", messages)
    return Bundle(folder, read_json(folder / "bundle.json"))
