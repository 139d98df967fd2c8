"""The manifest of a bundle: a hash of every file, checked before anything else is read; and the bundle as one zip."""

import stat
import zipfile
from pathlib import Path, PurePosixPath

from metaswin.errors import UserError
from metaswin.files import atomic, file_hash, read_json, write_json

NAME = "manifest.json"
STAMP = ".snakemake_timestamp"
FORMAT = 1
# The first day that a zip can tell: the same files make the same bytes.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` but the manifest, by its path there."""
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in _files(folder) if path != folder / NAME}


def write_manifest(folder: Path) -> None:
    """Seal `folder`: from now on an altered, missing or added file is noticed."""
    write_json(folder / NAME, {"format": FORMAT, "files": file_hashes(folder)})


def fingerprint(folder: Path) -> str:
    """SHA-256 of the manifest: it stands for the whole bundle, and can be told beside it."""
    return file_hash(folder / NAME)


def tampering(folder: Path) -> list[str]:
    """What is wrong with a bundle, one message each; nothing else of a bundle with a message may be read."""
    if not (folder / NAME).is_file():
        return [f"{folder} is no bundle: it has no {NAME}; give the folder or the zip that `bundle_model` wrote"]
    links = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        return [f"{folder}: {link} is a symbolic link; a bundle has none" for link in links]
    try:
        manifest = read_json(folder / NAME)
        form, wanted = manifest["format"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError):
        return [f"{folder / NAME} is no manifest of a bundle; copy the bundle anew"]
    if form != FORMAT:
        return [f"{folder} has the format {form}, but this version of metaswin reads {FORMAT}; see its bundle.json"]
    found = file_hashes(folder)
    messages = [f"{path} is missing" for path in wanted if path not in found]
    messages += [f"{path} is not of the bundle" for path in found if path not in wanted]
    messages += [f"{path} was altered" for path in wanted if path in found and wanted[path] != found[path]]
    return [f"{folder}: {message}; copy the bundle anew" for message in messages]


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
                    raise UserError(f"{archive}: {entry.filename!r} leads out of the bundle; get the bundle anew")
                if not entry.is_dir():
                    with atomic(folder / place) as temporary:
                        temporary.write_bytes(opened.read(entry))
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive} is no readable zip ({error}); copy the bundle anew") from None


def _files(folder: Path) -> list[Path]:
    """Every file below `folder` but Snakemake's mark of a folder's time."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / STAMP]
