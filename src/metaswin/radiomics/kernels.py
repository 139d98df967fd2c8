"""Cache the machine code of the radiomics kernels: compiled once per kind of processor, then read by every job.

numba's own cache is a folder to which all processes write. Two processes that compile the same kernel for different
types at the same time may choose the same file name. The code of one is then run for the types of the other. On a
shared disk, the cache also mixes kinds of processors. In metaswin the first process compiles into a folder of its own
and renames it, and the other processes read it. Only images of types that the workflow does not use
(`extract_features` accepts any type) add their code to it later.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import llvmlite
import llvmlite.binding
import numba

from metaswin.core.errors import UserError
from metaswin.core.files import flush, write_json
from metaswin.radiomics.engine.compiled import cache_kernels

logger = logging.getLogger("metaswin.radiomics")

ENGINE = Path(__file__).parent / "engine"
PART = ".compiling-"  # prefix of an unfinished folder
LONG = 3600  # seconds: every compilation is shorter


@cache
def load_kernels() -> None:
    """Make this process read the kernels from disk; compile them first if they are missing for this kind of processor.

    Raises
    ------
    UserError
        If they cannot be compiled or written.
    """
    if numba.config.DISABLE_JIT:
        return
    folder = kernels_folder()
    if not folder.is_dir():
        compile_kernels(folder)
    cache_kernels(folder)


def prepare_kernels(output: str | Path) -> None:
    """Compile the kernels before the jobs of the patients start; `output` (JSON) describes the processor.

    A job on another kind of processor compiles its own kernels.
    """
    load_kernels()
    write_json(output, {"kernels": _kind(), "processor": llvmlite.binding.get_host_cpu_name()})


def kernels_folder() -> Path:
    """Return the folder of the kernels for this processor, this version of numba and these sources.

    If ``NUMBA_CACHE_DIR`` is set, the folder is below it. Otherwise it is beside the sources, in the user's cache
    folder or in a new temporary folder of the user: the first of these that is writable, because numba tests this
    before it reads.
    """
    name = f"kernels-{_kind()}"
    for place in _places():
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        folder = place / name
        if os.access(folder if folder.is_dir() else place, os.W_OK):
            return folder
    # A new folder, so that no other user can have written there: numba runs the code that it reads.
    return Path(tempfile.mkdtemp(prefix="metaswin-kernels-")) / name


def compile_kernels(folder: Path) -> None:
    """Compile all kernels into `folder`, which then exists completely or not at all; an existing folder is kept.

    A separate process compiles them, because numba would not write kernels that this process has already compiled.

    Raises
    ------
    UserError
        If the compilation fails. The message says where and what to do.
    """
    try:
        _remove_left(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=PART, ignore_cleanup_errors=True) as temporary:
            own = Path(temporary) / folder.name
            own.mkdir()
            subprocess.run([sys.executable, "-m", "metaswin.radiomics.call_kernels", str(own)], check=True)
            for file in own.rglob("*.nb?"):
                flush(file)  # after a power cut, numba would read an incomplete file as a complete one
            try:
                own.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
                logger.info("another job has compiled the kernels in the meantime")
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"the radiomics kernels could not be compiled into {folder.parent} ({error}). See the messages above. Free "
            "space or memory, or set NUMBA_CACHE_DIR to a folder that can be written to"
        ) from error


def _places() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
        return
    yield ENGINE / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "metaswin"


def _remove_left(place: Path) -> None:
    """Remove the folders of killed compilations."""
    for left in place.glob(f"{PART}*"):
        if time.time() - left.stat().st_mtime > LONG:
            shutil.rmtree(left, ignore_errors=True)


def _kind() -> str:
    """Return a hash (12 hex digits) of everything that the machine code depends on.

    The location of the sources is part of it, because numba identifies the code by it.
    """
    digest = hashlib.sha256()
    target = (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    asked = (numba.config.CPU_NAME, numba.config.CPU_FEATURES, numba.config.ENABLE_AVX)
    versions = (numba.__version__, llvmlite.__version__, sys.implementation.cache_tag)
    for fact in (*target, *asked, *versions, os.path.abspath(ENGINE)):
        digest.update(f"{fact}\0".encode())
    for source in sorted(ENGINE.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
