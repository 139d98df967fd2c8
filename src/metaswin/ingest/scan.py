"""Read the headers of many files: in parallel, each file once, unchanged files from a private cache."""

import hashlib
import logging
import multiprocessing
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.ingest import headers, references
from metaswin.ingest.headers import Header, read_header
from metaswin.ingest.walk import FoundFile

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 128
LOGGER = logging.getLogger("metaswin")


def scan(root: str | Path, files: list[FoundFile], workers: int = 1, cache: str | Path | None = None) -> "pd.DataFrame":
    """Headers of `files`, one row each in their order, with the columns of `Header`.

    Parameters
    ----------
    root : path
        Folder the files' paths are relative to.
    files : list of FoundFile
    workers : int
        Processes that read; 1 reads in this process.
    cache : path or None
        Parquet file with the headers of an earlier run. A file whose path, size and time of change are in it is
        not opened again. It is written anew at the end, and ignored where the reading code has changed.
    """
    with _Readers(root, workers) as readers:
        import pandas as pd

        known = _load(cache)
        missing = [file for file in files if (file.path, file.size, file.mtime_ns) not in known]
        LOGGER.info("%d files, %d of them known from the cache", len(files), len(files) - len(missing))
        for chunk in readers.read(missing):
            known.update({(header.path, header.size, header.mtime_ns): header for header in chunk})
        rows = [known[(file.path, file.size, file.mtime_ns)] for file in files]
        table = pd.DataFrame.from_records(rows, columns=list(Header._fields))
    if cache is not None and (missing or not Path(cache).exists() or len(known) != len(rows)):
        _save(cache, table)
    return table


class _Readers:
    """Worker processes, forked before pandas and pyarrow start threads of their own.

    Fork is asked for by name: the other ways of starting run the calling script a second time.
    """

    def __init__(self, root: str | Path, workers: int):
        self.root = str(root)
        self.workers = workers
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Readers":
        if self.workers > 1:
            context = multiprocessing.get_context("fork")
            self.pool = ProcessPoolExecutor(self.workers, mp_context=context)
            self.pool.submit(_nothing).result()
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def read(self, files: list[FoundFile]) -> Iterator[list[Header]]:
        chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
        if self.pool is None:
            yield from (_read_chunk(self.root, chunk) for chunk in chunks)
        else:
            yield from self.pool.map(_read_chunk, [self.root] * len(chunks), chunks)


def _read_chunk(root: str, files: list[FoundFile]) -> list[Header]:
    with _quiet():
        return [read_header(root, file) for file in files]


@contextmanager
def _quiet() -> Iterator[None]:
    """No words of pydicom: it quotes odd values, and logs are public. What matters here has a code of its own."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _nothing() -> None:
    """A first task: it makes the pool start its processes."""


def _version() -> str:
    """Hash of the code that reads headers: another version's cache is not used."""
    digest = hashlib.sha256()
    for module in (headers, references):
        digest.update(Path(module.__file__ or "").read_bytes())
    return digest.hexdigest()


def _load(cache: str | Path | None) -> dict[tuple[str, int, int], Header]:
    if cache is None or not Path(cache).is_file():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(cache)
    except (pa.ArrowException, OSError):
        return {}
    if (table.schema.metadata or {}).get(b"version") != _version().encode():
        return {}
    columns = [table.column(name).to_pylist() for name in Header._fields]
    headers = (Header(*row) for row in zip(*columns, strict=True))
    # A file that could not be read is tried again: permissions are not seen in size and time.
    return {header[:3]: header for header in headers if header.code != "unreadable-file"}


def _save(cache: str | Path, table: "pd.DataFrame") -> None:
    from metaswin.files import write_table

    write_table(cache, table, {"version": _version()})
