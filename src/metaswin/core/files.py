"""Write files atomically: a file with its final name is always complete."""

import errno
import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import SimpleITK as sitk


# Operating-system errors of a disk that accepts no more data, and what the user can do. None of them is a bug.
WRITE_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the quota of the disk is used up; free some space and run again",
    errno.EFBIG: "the file exceeds the size limit here; check `ulimit -f`, or use another file system",
    errno.EROFS: "the file system is read-only; mount it for writing, or run in another folder",
    errno.EACCES: "no permission to write there; change the folder's owner or mode, or run in another folder",
    errno.EPERM: "writing there is not allowed; change the folder's owner or mode, or run in another folder",
}
NIFTI_HEADER = 352


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success, flush the file to disk and rename it to `path`.

    The temporary name has the ending of `path`, because writers choose the file format by the ending. On an exception
    the temporary file is removed and `path` is unchanged. Temporary files that a killed job left beside `path` are
    removed first.

    Raises
    ------
    UserError
        If the disk is full or not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".part-*-{glob.escape(path.name)}"):
            left.unlink(missing_ok=True)
        yield temporary
        flush(temporary)
        temporary.replace(path)
        with suppress(OSError):  # not every file system flushes folders
            flush(path.parent)
    except Exception as error:
        reason = _why_not_written(error, temporary)
        if reason is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file (64 hex digits)."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _why_not_written(error: Exception, temporary: Path) -> str | None:
    """Return the matching text of `WRITE_ERRORS`; None if the error is not an error of the disk.

    Many writers raise exceptions of their own. The number of the system's error is then either in the text
    (safetensors) or absent. If it is absent, this function tries to write 64 KiB beside the temporary file.
    """
    if isinstance(error, OSError):
        named = Path(error.filename) if isinstance(error.filename, str) else temporary
        ours = named.parent == temporary.parent or named in temporary.parents
        return WRITE_ERRORS.get(error.errno or 0) if ours else None
    if number := re.search(r"\(os error (\d+)\)", str(error)):
        return WRITE_ERRORS.get(int(number[1]))
    probe = temporary.with_name(f"{temporary.name}.probe")
    try:
        with probe.open("wb") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as found:
        return WRITE_ERRORS.get(found.errno or 0)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN raises a ValueError, because JSON has no NaN."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_table(path: str | Path, table: "pd.DataFrame", metadata: dict[str, str] | None = None) -> None:
    """Write a table as Parquet without its index; `metadata` is stored in the schema metadata of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    if metadata:
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **metadata})
    with atomic(path) as temporary:
        pq.write_table(arrow, temporary)


def read_table(path: str | Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """Read a Parquet table."""
    import pandas as pd

    return pd.read_parquet(path, columns=columns)


def metadata_of(path: str | Path) -> dict[str, str]:
    """Return the schema metadata of a Parquet file: that of `write_table`, and the metadata of pandas."""
    import pyarrow.parquet as pq

    return {key.decode(): value.decode() for key, value in (pq.read_schema(path).metadata or {}).items()}


def write_volume(path: str | Path, image: "sitk.Image") -> None:
    """Write a SimpleITK image as compressed NIfTI.

    Raises
    ------
    UserError
        If the disk is full or not writable (see `atomic`). ITK (5.4) reports no error when a disk is full. Therefore
        the uncompressed length, which gzip writes as the last 4 bytes of the file, is checked.
    """
    import SimpleITK as sitk

    values = math.prod(image.GetSize()) * image.GetNumberOfComponentsPerPixel()
    expected = NIFTI_HEADER + values * image.GetSizeOfPixelComponent()
    with atomic(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=1)
        with temporary.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            found = int.from_bytes(file.read(4), "little")
        if found != expected % 2**32:
            raise UserError(f"cannot write {path}: it was cut short; look at the free space and at `ulimit -f`")


def read_volume(path: str | Path) -> "sitk.Image":
    """Read a volume written by `write_volume` (or any format SimpleITK reads)."""
    import SimpleITK as sitk

    return sitk.ReadImage(str(path))
