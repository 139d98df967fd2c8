"""Walk a folder tree and list every regular file once, and detect changes of the tree."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """Describe a regular file: path relative to the root (with ``/``), size in bytes, time of the last change in ns."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Unlisted:
    """Describe an entry that could not be read: path relative to the root, problem code and reason of the system."""

    path: str
    code: str
    reason: str


def walk(root: str | Path) -> tuple[list[FoundFile], list[Unlisted]]:
    """List every regular file in `root` and its subfolders, in sorted order.

    Links are followed. A folder that was already visited (a loop, or a second link) is not visited again. Sockets,
    pipes and devices are ignored, because opening them may block.

    Returns
    -------
    files : list of FoundFile
    unlisted : list of Unlisted
        Folders that cannot be read, dangling links and names that are not UTF-8.
    """
    files: list[FoundFile] = []
    unlisted: list[Unlisted] = []
    visited: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        absolute = os.path.join(root, folder) if folder else str(root)
        try:
            status = os.stat(absolute)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(absolute) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            unlisted.append(Unlisted(folder, "unreadable-folder", error.strerror or type(error).__name__))
            continue
        inner = []
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_text(entry.name):
                shown = path.encode("utf-8", "backslashreplace").decode()
                unlisted.append(Unlisted(shown, "undecodable-name", "the name is not UTF-8"))
                continue
            try:
                status = entry.stat()
            except OSError as error:
                unlisted.append(Unlisted(path, "unreadable-file", error.strerror or type(error).__name__))
                continue
            if stat.S_ISDIR(status.st_mode):
                inner.append(path)
            elif stat.S_ISREG(status.st_mode):
                files.append(FoundFile(path, status.st_size, status.st_mtime_ns))
        waiting.extend(reversed(inner))
    return sorted(files, key=lambda file: file.path), unlisted


def folder_state(root: str | Path, depth: int = 2) -> str:
    """Return a fingerprint (16 hex digits) of names and times of change of the folders, `depth` levels deep.

    The time of a folder changes if an entry is added, removed or renamed in it. Therefore a new patient, a new series
    and a new file in a second-level folder are detected without reading the files. A file that is rewritten in place,
    or added at a deeper level, is not detected. An absent `root` has the fingerprint of an empty listing.
    """
    digest = hashlib.sha256()
    level = [Path(root)]
    for remaining in range(depth, -1, -1):
        deeper: list[Path] = []
        for folder in level:
            try:
                digest.update(f"{folder.relative_to(root)}\0{folder.stat().st_mtime_ns}\n".encode(errors="replace"))
                if remaining:
                    with os.scandir(folder) as listing:
                        deeper.extend(sorted(Path(entry.path) for entry in listing if entry.is_dir()))
            except OSError:
                continue
        level = deeper
    return digest.hexdigest()[:16]


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
