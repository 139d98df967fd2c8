"""Read, write and verify a bundle of JSON and safetensors files with hashes, packed as one zip."""

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
    """Describe a feature set of the bundle.

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
        Feature set → mean AUC of inner out-of-fold predictions over the members. None if it is not estimable.
    """

    def order(name: str) -> tuple[Any, ...]:
        value = inner[name]
        return name != primary, -len(modalities[name]), 0.0 if value is None else -value, name

    names = [name for name in modalities if set(modalities[name]) <= set(modalities[primary])]
    return [BundledFeatureSet(name, tuple(modalities[name])) for name in sorted(names, key=order)]


def stand_in(feature_sets: Sequence[BundledFeatureSet], there: Collection[str]) -> BundledFeatureSet | None:
    """Return the first feature set whose modalities are all available; None if there is none."""
    return next((feature_set for feature_set in feature_sets if set(feature_set.modalities) <= set(there)), None)


def mean_inner_auc(fits: Sequence[Mapping[str, Any]], classifier: str) -> dict[str, float | None]:
    """Return the mean over the members of each feature set's AUC on the held-out inner rows."""
    found = {}
    for name in fits[0]["feature_sets"]:
        values = [fit["feature_sets"][name][classifier]["auc_inner"] for fit in fits]
        known = [value for value in values if value is not None]
        found[name] = float(np.mean(known)) if known else None
    return found


def id_hash(key: str, patient: str) -> str:
    """Return the HMAC-SHA256 of a study id, trimmed and case-folded (64 hex digits).

    The key is part of the bundle: only a person who has the bundle can test an id that they know or guess.
    """
    return hmac.new(key.encode(), patient.strip().casefold().encode(), hashlib.sha256).hexdigest()


def make_key(hashes: Mapping[str, str]) -> str:
    """Derive the key of the bundle from the hashes of its other files, so the same run gives the same bundle."""
    text = "".join(f"{path} {value}\n" for path, value in sorted(hashes.items()))
    return hashlib.sha256(f"metaswin training cohort\n{text}".encode()).hexdigest()


def training_folds(key: str, folds: pd.DataFrame) -> dict[str, list[int]]:
    """Return the hash of each patient of an endpoint with the test fold in each repeat.

    Parameters
    ----------
    key : str
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    """
    ordered = folds.sort_values(["patient", "repeat"])
    return {id_hash(key, patient): rows["fold"].astype(int).tolist() for patient, rows in ordered.groupby("patient")}


def held_out(folds: Iterable[int] | None, repeat: int, fold: int) -> bool:
    """Return whether a member was trained without the patient with these test folds; true for every new patient."""
    return folds is None or list(folds)[repeat] == fold


NAME = "manifest.json"
STAMP = ".snakemake_timestamp"
FORMAT = 2
# The first day that a zip can store. A fixed day gives the same bytes for the same files.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in `folder` except the manifest, by its relative path."""
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in _files(folder) if path != folder / NAME}


def write_manifest(folder: Path) -> None:
    """Write the manifest, with which changed, missing and added files are detected."""
    write_json(folder / NAME, {"format": FORMAT, "files": file_hashes(folder)})


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the manifest, which identifies the whole bundle and can be published with it."""
    return file_hash(folder / NAME)


def tampering(folder: Path) -> list[str]:
    """Return one message per fault of a bundle; a bundle with a message must not be read further."""
    if not (folder / NAME).is_file():
        return [f"{folder} is not a bundle: it has no {NAME}; give the folder or the zip that `bundle_model` wrote"]
    links = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        return [f"{folder}: {link} is a symbolic link, which a bundle must not contain" for link in links]
    try:
        manifest = read_json(folder / NAME)
        form, wanted = manifest["format"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError):
        return [f"{folder / NAME} is not the manifest of a bundle; copy the bundle again"]
    if form != FORMAT:
        return [f"{folder} has the format {form}, but this version of metaswin reads {FORMAT}; see its bundle.json"]
    found = file_hashes(folder)
    messages = [f"{path} is missing" for path in wanted if path not in found]
    messages += [f"{path} does not belong to the bundle" for path in found if path not in wanted]
    messages += [f"{path} was changed" for path in wanted if path in found and wanted[path] != found[path]]
    return [f"{folder}: {message}; copy the bundle again" for message in messages]


def pack(folder: Path, target: str | Path) -> None:
    """Write `folder` as one zip, with the same bytes for the same files."""
    with atomic(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), NO_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, path.read_bytes())


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip that `pack` wrote into `folder`.

    Raises
    ------
    UserError
        If it is not a zip, or if it contains a path outside of `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                place = PurePosixPath(entry.filename)
                if place.is_absolute() or ".." in place.parts or "\\" in entry.filename:
                    raise UserError(
                        f"{archive}: the path {entry.filename!r} is outside of the bundle; get the bundle again"
                    )
                if not entry.is_dir():
                    with atomic(folder / place) as temporary:
                        temporary.write_bytes(opened.read(entry))
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive} is not a readable zip ({error}); copy the bundle again") from None


def _files(folder: Path) -> list[Path]:
    """Return every file in `folder` except Snakemake's timestamp file."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / STAMP]


@dataclass(frozen=True)
class Bundle:
    """Access a bundle whose files are unchanged.

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
        """Description of each endpoint."""
        return self.facts["endpoints"]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Settings that apply to new patients."""
        return read_json(self.folder / "config.json")

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.folder)

    @cached_property
    def _training(self) -> Mapping[str, Any]:
        return read_json(self.folder / "training.json")

    def feature_sets(self, endpoint: str) -> list[BundledFeatureSet]:
        """Return the feature sets of an endpoint: the primary one, then its replacements."""
        return [BundledFeatureSet.from_json(raw) for raw in self.endpoints[endpoint]["feature_sets"]]

    def members(self, endpoint: str) -> list[tuple[int, int]]:
        """Return repeat and fold of each member."""
        return [(repeat, fold) for repeat, fold in self.endpoints[endpoint]["members"]]

    def member_folder(self, endpoint: str, member: tuple[int, int]) -> Path:
        return self.folder / endpoint / f"r{member[0]}-f{member[1]}"

    def ranges(self, endpoint: str) -> dict[str, Any]:
        """Read the ranges and levels of the training patients."""
        return read_json(self.folder / endpoint / "ranges.json")

    def scores(self, endpoint: str) -> dict[str, Any]:
        """Read the distribution of the training patients' inner cross-fitted risks by feature set.

        See `metaswin.prediction.placing`.
        """
        return read_json(self.folder / endpoint / "scores.json")

    def folds_of(self, endpoint: str, patient: str) -> list[int] | None:
        """Return the test fold of a training patient in each repeat; None if the patient was not in the cohort."""
        return self._training["endpoints"][endpoint].get(id_hash(self._training["key"], patient))

    def modalities(self) -> set[str]:
        """Return the modalities of all bundled feature sets."""
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
        If it is not a bundle, or if a file was changed.
    """
    folder = Path(folder)
    messages = tampering(folder)
    if messages:
        raise several("The bundle cannot be used:", messages)
    return Bundle(folder, read_json(folder / "bundle.json"))
