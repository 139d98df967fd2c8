"""What stands for the library code that a job script depends on, so that a change re-runs exactly what it touches.

Snakemake's code trigger sees only the script file. Every rule carries `code_version(script)` as a parameter.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

from metaswin import __version__

PACKAGE = "metaswin"
ROOT = Path(__file__).parent.parent


def code_version(script: str | Path) -> str:
    """Version of the code behind a script: the source hash in a checkout, metaswin's version where it is installed.

    An installed metaswin gives its major and minor version, so that a patch release continues a run; a release that
    changes numbers raises the minor version. Training state is found by the same text.
    """
    return source_hash(script) if in_checkout() else release()


def release() -> str:
    """metaswin's major and minor version: what it computes is the same in all patch releases of one."""
    return ".".join(__version__.split(".")[:2])


def in_checkout() -> bool:
    """Whether the library lies in a checkout of the project (``src`` beside ``pyproject.toml``)."""
    return ROOT.parent.name == "src" and (ROOT.parent.parent / "pyproject.toml").is_file()


def source_hash(script: str | Path) -> str:
    """Hash (16 hex digits) of every metaswin module that `script` imports, directly or through others.

    Imports inside functions count. Of each module the compiled code counts, without line numbers: comments, blank
    lines, what docstrings say and ``assert`` do not re-run anything; another version of Python (3.x) does, everything.
    """
    digest = hashlib.sha256()
    for module in sorted(dependencies(Path(script))):
        digest.update(module.relative_to(ROOT).as_posix().encode())
        digest.update(_facts(module)[0])
    return digest.hexdigest()[:16]


def dependencies(script: Path) -> set[Path]:
    """Files of every metaswin module `script` imports, directly or through others (not `script` itself)."""
    found: set[Path] = set()
    waiting = list(_facts(script)[1])
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_facts(module)[1])
    return found


@cache
def _facts(path: Path) -> tuple[bytes, frozenset[Path]]:
    """Hash of a module's code, and the files that it imports."""
    # Compiling takes a quarter of the time of a syntax tree in Python's own objects.
    module = compile(path.read_text(encoding="utf-8"), path.name, "exec", dont_inherit=True, optimize=2)
    digest = hashlib.sha256()
    names: set[str] = set()
    for code in _with_inner(module):
        digest.update(repr(_meaning(code)).encode())
        names.update(_imported(code))
    return digest.digest(), frozenset(file for name in names for file in _files_of(name))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _meaning(code: CodeType) -> tuple:
    """All of a function's or module's own code but where its lines stand."""
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    constants = [_ordered(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
    return code.co_code, code.co_exceptiontable, arguments, names, constants


def _ordered(constant: object) -> object:
    """The constant; a set as a list, in an order that does not change from process to process."""
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant


def _imported(code: CodeType) -> Iterator[str]:
    """Names of metaswin modules that may be imported: ``from a import b`` leaves a name ``a``, a constant ``(b,)``."""
    listed = {name for constant in code.co_consts if isinstance(constant, tuple) for name in constant}
    for name in code.co_names:
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name
            yield from (f"{name}.{inner}" for inner in listed if isinstance(inner, str))


def _files_of(name: str) -> list[Path]:
    """Files that importing module `name` runs: the packages above it and itself; none for a plain attribute."""
    modules = _modules(ROOT)
    parts = name.split(".")
    above = (".".join(parts[:depth]) for depth in range(2, len(parts) + 1))
    return [modules[module] for module in above if module in modules]


@cache
def _modules(root: Path) -> dict[str, Path]:
    """Name → file of every module and package below `root`."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found
