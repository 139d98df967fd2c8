"""Read, write and verify a bundle: JSON and safetensors files with a hash each, packed as one zip."""

import hashlib
import hmac
import stat
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from metaswin.core.errors import UserError, several
from metaswin.core.files import atomic, file_hash, read_json, write_json


@dataclass(frozen=True)
class BundledFeatureSet:
    """A feature set of the bundle.

    Attributes
    ----------
    name : str
    modalities : tuple of str
    """

    name: str
    modalities: tuple[str, ...]

    @property
    def deep(self) -> bool:
        """Whether the feature set joins a deep score."""
        return "deep" in self.modalities

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "modalities": list(self.modalities)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "BundledFeatureSet":
        return cls(**{**raw, "modalities": tuple(raw["modalities"])})


def bundled_feature_sets(
    primary: str, modalities: Mapping[str, Sequence[str]], inner: Mapping[str, float | None]
) -> list[BundledFeatureSet]:
    """Return the primary feature set, then its subsets in the order in which they replace it for a missing modality.

    Feature sets with more modalities come first, then those with the higher AUC on inner held-out rows. Test rows are
    not used.

    Parameters
    ----------
    primary : str
    modalities : mapping
        Feature set → modalities, of every fitted feature set.
    inner : mapping
        Feature set → mean AUC of inner out-of-fold predictions over the members; None where not estimable.
    """

    def order(name: str) -> tuple[Any, ...]:
        value = inner[name]
        return name != primary, -len(modalities[name]), 0.0 if value is None else -value, name

    names = [name for name in modalities if set(modalities[name]) <= set(modalities[primary])]
    return [BundledFeatureSet(name, tuple(modalities[name])) for name in sorted(names, key=order)]


def stand_in(feature_sets: Sequence[BundledFeatureSet], there: Collection[str]) -> BundledFeatureSet | None:
    """The first feature set whose modalities are all there; None where there is none."""
    return next((feature_set for feature_set in feature_sets if set(feature_set.modalities) <= set(there)), None)


def mean_inner_auc(fits: Sequence[Mapping[str, Any]], classifier: str) -> dict[str, float | None]:
    """Mean over the members of each feature set's AUC on the held-out inner rows."""
    found = {}
    for name in fits[0]["feature_sets"]:
        values = [fit["feature_sets"][name][classifier]["auc_inner"] for fit in fits]
        known = [value for value in values if value is not None]
        found[name] = float(np.mean(known)) if known else None
    return found


def id_hash(key: str, patient: str) -> str:
    """HMAC-SHA256 of a study id, trimmed and case-folded (64 hex digits).

    The key is part of the bundle: only a person who has the bundle can test an id that they know or guess.
    """
    return hmac.new(key.encode(), patient.strip().casefold().encode(), hashlib.sha256).hexdigest()


def make_key(hashes: Mapping[str, str]) -> str:
    """A key of the bundle's own, from the hashes of its other files: the same run gives the same bundle."""
    text = "".join(f"{path} {value}\n" for path, value in sorted(hashes.items()))
    return hashlib.sha256(f"metaswin training cohort\n{text}".encode()).hexdigest()


def training_folds(key: str, folds: pd.DataFrame) -> dict[str, list[int]]:
    """Hash of each patient of an endpoint → its test fold in each repeat.

    Parameters
    ----------
    key : str
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    """
    ordered = folds.sort_values(["patient", "repeat"])
    return {id_hash(key, patient): rows["fold"].astype(int).tolist() for patient, rows in ordered.groupby("patient")}


def held_out(folds: Iterable[int] | None, repeat: int, fold: int) -> bool:
    """Whether a patient with these test folds was held out of one member; who was never there was held out of all."""
    return folds is None or list(folds)[repeat] == fold


NAME = "manifest.json"
STAMP = ".snakemake_timestamp"
FORMAT = 2
# The first day that a zip can tell: the same files make the same bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` but the manifest, by its path there."""
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in _files(folder) if path != folder / NAME}


def write_manifest(folder: Path) -> None:
    """Seal `folder`: from now on an altered, missing or added file is noticed."""
    write_json(folder / NAME, {"format": FORMAT, "files": file_hashes(folder)})


def fingerprint(folder: Path) -> str:
    """SHA-256 of the manifest: it identifies the whole bundle and can be published beside it."""
    return file_hash(folder / NAME)


def tampering(folder: Path) -> list[str]:
    """What is wrong with a bundle, one message each; nothing else of a bundle with a message may be read."""
    if not (folder / NAME).is_file():
        return [f"{folder} is not a bundle: it has no {NAME}; give the folder or the zip that `bundle_model` wrote"]
    links = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        return [f"{folder}: {link} is a symbolic link; a bundle has none" for link in links]
    try:
        manifest = read_json(folder / NAME)
        form, wanted = manifest["format"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError):
        return [f"{folder / NAME} is not a manifest of a bundle; copy the bundle again"]
    if form != FORMAT:
        return [f"{folder} has the format {form}, but this version of metaswin reads {FORMAT}; see its bundle.json"]
    found = file_hashes(folder)
    messages = [f"{path} is missing" for path in wanted if path not in found]
    messages += [f"{path} is not of the bundle" for path in found if path not in wanted]
    messages += [f"{path} was altered" for path in wanted if path in found and wanted[path] != found[path]]
    return [f"{folder}: {message}; copy the bundle again" for message in messages]


def pack(folder: Path, target: str | Path) -> None:
    """Write `folder` as one zip, the same bytes for the same files."""
    with atomic(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), NO_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, path.read_bytes())


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip that `pack` wrote below `folder`.

    Raises
    ------
    UserError
        If it is no zip, or holds a path that leads out of `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                place = PurePosixPath(entry.filename)
                if place.is_absolute() or ".." in place.parts or "\\" in entry.filename:
                    raise UserError(f"{archive}: {entry.filename!r} leads out of the bundle; get the bundle again")
                if not entry.is_dir():
                    with atomic(folder / place) as temporary:
                        temporary.write_bytes(opened.read(entry))
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive} is not a readable zip ({error}); copy the bundle again") from None


def _files(folder: Path) -> list[Path]:
    """Every file below `folder` but Snakemake's mark of a folder's time."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / STAMP]


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
        """Endpoint → its description."""
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

    def feature_sets(self, endpoint: str) -> list[BundledFeatureSet]:
        """Feature sets of an endpoint, the primary model first, then those that stand in for it."""
        return [BundledFeatureSet.from_json(raw) for raw in self.endpoints[endpoint]["feature_sets"]]

    def members(self, endpoint: str) -> list[tuple[int, int]]:
        """Repeat and fold of each member."""
        return [(repeat, fold) for repeat, fold in self.endpoints[endpoint]["members"]]

    def member_folder(self, endpoint: str, member: tuple[int, int]) -> Path:
        return self.folder / endpoint / f"r{member[0]}-f{member[1]}"

    def ranges(self, endpoint: str) -> dict[str, Any]:
        """Ranges and levels of the training patients."""
        return read_json(self.folder / endpoint / "ranges.json")

    def scores(self, endpoint: str) -> dict[str, Any]:
        """Feature set → how the training patients' inner cross-fitted risks lie, see `metaswin.prediction.placing`."""
        return read_json(self.folder / endpoint / "scores.json")

    def folds_of(self, endpoint: str, patient: str) -> list[int] | None:
        """Test fold of a training patient in each repeat; None for whom the training cohort did not have."""
        return self._training["endpoints"][endpoint].get(id_hash(self._training["key"], patient))

    def modalities(self) -> set[str]:
        """Modalities that any bundled feature set joins."""
        return {
            modality
            for name in self.endpoints
            for feature_set in self.feature_sets(name)
            for modality in feature_set.modalities
        }


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
