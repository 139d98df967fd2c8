"""Machine code of the radiomics kernels: compiled once for each kind of processor, then read from disk by every job.

numba's own cache is a folder that all processes write to: two that compile the same kernel for different types at the
same time may take the same file name, and the loser's code is then run for the other's types. On a shared disk it
mixes processors too. Here the first process compiles into its own folder and renames it; the others read. Only
images of other types than the workflow's (`extract_features` takes any) add theirs to it later.
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
PART = ".compiling-"  # a folder that is not finished
LONG = 3600  # seconds: no compilation takes so long


@cache
def load_kernels() -> None:
    """Let this process take the kernels from disk; compile them first if they are missing for this kind of processor.

    Raises
    ------
    UserError
        If they cannot be compiled, or not be written.
    """
    if numba.config.DISABLE_JIT:
        return
    folder = kernels_folder()
    if not folder.is_dir():
        compile_kernels(folder)
    cache_kernels(folder)


def prepare_kernels(output: str | Path) -> None:
    """Have the kernels compiled before the patients' jobs start; `output` (JSON) says for what.

    A job on another kind of processor compiles its own.
    """
    load_kernels()
    write_json(output, {"kernels": _kind(), "processor": llvmlite.binding.get_host_cpu_name()})


def kernels_folder() -> Path:
    """Where the kernels of this processor, this numba and these sources lie.

    Below ``NUMBA_CACHE_DIR`` if that is set; else beside the sources, in the user's cache folder or in a folder of the
    user's own below the temporary one: the first that may be written to, since numba tries that before it reads.
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
    # Only this user may have written there: numba runs what it reads.
    return Path(tempfile.mkdtemp(prefix="metaswin-kernels-")) / name


def compile_kernels(folder: Path) -> None:
    """Compile all kernels into `folder`: whole, or not there; who comes second leaves what is there.

    A process of its own does it: what this one has compiled already would not be written.

    Raises
    ------
    UserError
        If that fails: says where, and what to do.
    """
    try:
        _remove_left(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=PART, ignore_cleanup_errors=True) as temporary:
            own = Path(temporary) / folder.name
            own.mkdir()
            subprocess.run([sys.executable, "-m", "metaswin.radiomics.call_kernels", str(own)], check=True)
            for file in own.rglob("*.nb?"):
                flush(file)  # numba takes what a power cut left short for a whole file
            try:
                own.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
                logger.info("another job has compiled the kernels meanwhile")
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"the radiomics kernels could not be compiled into {folder.parent} ({error}): see what stands above, free "
            "space or memory, or set NUMBA_CACHE_DIR to a folder that can be written to"
        ) from error


def _places() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
        return
    yield ENGINE / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "metaswin"


def _remove_left(place: Path) -> None:
    """Remove what killed compilations left."""
    for left in place.glob(f"{PART}*"):
        if time.time() - left.stat().st_mtime > LONG:
            shutil.rmtree(left, ignore_errors=True)


def _kind() -> str:
    """Hash (12 hex digits) of what the machine code depends on, and numba's name for it: the sources' own place."""
    digest = hashlib.sha256()
    target = (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    asked = (numba.config.CPU_NAME, numba.config.CPU_FEATURES, numba.config.ENABLE_AVX)
    versions = (numba.__version__, llvmlite.__version__, sys.implementation.cache_tag)
    for fact in (*target, *asked, *versions, os.path.abspath(ENGINE)):
        digest.update(f"{fact}\0".encode())
    for source in sorted(ENGINE.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
