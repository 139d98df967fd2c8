"""Read the headers of many files in parallel, each file once, and unchanged files from a private cache."""

import hashlib
import logging
import multiprocessing
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaswin.cohort import contour_sets, headers
from metaswin.cohort.headers import Header, read_header
from metaswin.cohort.walk import FoundFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CHUNK = 128
EVERY = 5.0  # seconds between two log lines
KEY = ["path", "size", "mtime_ns"]
LOGGER = logging.getLogger("metaswin")


def scan(root: str | Path, files: list[FoundFile], workers: int = 1, cache: str | Path | None = None) -> "pd.DataFrame":
    """Return the headers of `files`, one row each in their order, with the columns of `Header`.

    Parameters
    ----------
    root : path
        Folder to which the paths of the files are relative.
    files : list of FoundFile
    workers : int
        Number of reading processes. 1 reads in this process.
    cache : path or None
        Parquet file with the headers of an earlier run. A file whose path, size and time of change are in the cache is
        not opened again. The cache is rewritten at the end. It is ignored if the reading code has changed.
    """
    with _Readers(root, workers) as readers:
        import pandas as pd
        import pyarrow as pa

        known = _load(cache)
        found = pd.MultiIndex.from_frame(pd.DataFrame({key: [getattr(file, key) for file in files] for key in KEY}))
        places = pd.MultiIndex.from_frame(known.select(KEY).to_pandas()).get_indexer(found)
        missing = [file for file, place in zip(files, places, strict=True) if place < 0]
        LOGGER.info("%d files, %d of them known from the cache", len(files), len(files) - len(missing))
        fresh = _table(_counted(readers.read(missing), len(missing)))
    places[places < 0] = len(known) + np.arange(len(missing))
    # Combined into one chunk, so the bytes of the file do not depend on which rows were known before.
    table = pa.concat_tables([known, fresh]).take(pa.array(places)).combine_chunks().to_pandas()
    if cache is not None and (missing or not Path(cache).exists() or len(known) != len(files)):
        _save(cache, table)
    return table


class _Readers:
    """Start worker processes, which are forked before pandas and pyarrow start threads.

    The start method is set to fork, because other start methods run the calling script a second time.
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


def _counted(chunks: Iterator[list[Header]], files: int) -> Iterator[list[Header]]:
    """Pass chunks on, and log every few seconds how many files are read."""
    done, said = 0, time.monotonic()
    for chunk in chunks:
        done += len(chunk)
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            LOGGER.info("%d of %d files read", done, files)
        yield chunk


def _read_chunk(root: str, files: list[FoundFile]) -> list[Header]:
    with _quiet():
        return [read_header(root, file) for file in files]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom, because it quotes values and logs are public; relevant problems have their own codes."""
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
    """Do nothing; this first task makes the pool start its processes."""


def _version() -> str:
    """Return a hash of the code that reads headers, because the cache of another version is not used."""
    digest = hashlib.sha256()
    for module in (headers, contour_sets):
        digest.update(Path(module.__file__ or "").read_bytes())
    return digest.hexdigest()


def _schema() -> "pa.Schema":
    import pyarrow as pa

    kinds = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return pa.schema([(name, kinds[kind]) for name, kind in Header.__annotations__.items()])


def _table(chunks: Iterable[list[Header]]) -> "pa.Table":
    """Build a table with one row per header, chunk by chunk, because Python objects need ten times the memory."""
    import pyarrow as pa

    schema = _schema()
    batches = [
        pa.record_batch([pa.array(c, t) for c, t in zip(zip(*chunk, strict=True), schema.types, strict=True)], schema)
        for chunk in chunks
    ]
    return pa.Table.from_batches(batches, schema)


def _load(cache: str | Path | None) -> "pa.Table":
    """Read the cache; the table has no rows if there is no usable cache."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = _schema().empty_table()
    if cache is not None and Path(cache).is_file():
        with suppress(pa.ArrowException, OSError):
            found = pq.read_table(cache)
            if (found.schema.metadata or {}).get(b"version") == _version().encode():
                table = found.cast(table.schema)
    # A file that could not be read is read again, because a change of permissions does not change size and time.
    return table.filter(pc.field("code") != "unreadable-file")


def _save(cache: str | Path, table: "pd.DataFrame") -> None:
    from metaswin.core.files import write_table

    write_table(cache, table, {"version": _version()})
