"""Compute a version of the library code that a job script depends on, so that a code change re-runs only its rules.

Snakemake's code trigger only compares the script file. Therefore every rule has `code_version(script)` as a parameter.
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
    """Return the version of the code that a script uses.

    In a checkout this is the source hash of the script. An installed metaswin returns its major and minor version, so
    that a patch release continues an existing run; a release that changes numbers raises the minor version. The saved
    state of a training is found by the same text.
    """
    return source_hash(script) if in_checkout() else release()


def release() -> str:
    """Return metaswin's major and minor version; all patch releases of one minor version compute the same results."""
    return ".".join(__version__.split(".")[:2])


def in_checkout() -> bool:
    """Return whether the library is part of a checkout of the project (``src`` beside ``pyproject.toml``)."""
    return ROOT.parent.name == "src" and (ROOT.parent.parent / "pyproject.toml").is_file()


def source_hash(script: str | Path) -> str:
    """Return a hash (16 hex digits) of every metaswin module that `script` imports, directly or through others.

    Imports inside functions are included. The hash covers the compiled code of each module without line numbers.
    Comments, blank lines, docstrings and ``assert`` statements therefore do not change it. Another version of Python
    (3.x) changes the hashes of all modules.
    """
    digest = hashlib.sha256()
    for module in sorted(dependencies(Path(script))):
        digest.update(module.relative_to(ROOT).as_posix().encode())
        digest.update(_facts(module)[0])
    return digest.hexdigest()[:16]


def dependencies(script: Path) -> set[Path]:
    """Return the files of every metaswin module that `script` imports, directly or through others (without itself)."""
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
    """Return the hash of a module's code and the files that it imports."""
    # Compiling the module takes a quarter of the time that the `ast` module needs.
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
    """Return everything in the compiled code of one function or module except its line numbers."""
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    constants = [_ordered(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
    return code.co_code, code.co_exceptiontable, arguments, names, constants


def _ordered(constant: object) -> object:
    """Return the constant; a set becomes a sorted list, because its order differs between processes."""
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant


def _imported(code: CodeType) -> Iterator[str]:
    """Yield the names of metaswin modules that may be imported.

    ``from a import b`` compiles to a name ``a`` and a constant ``(b,)``.
    """
    listed = {name for constant in code.co_consts if isinstance(constant, tuple) for name in constant}
    for name in code.co_names:
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name
            yield from (f"{name}.{inner}" for inner in listed if isinstance(inner, str))


def _files_of(name: str) -> list[Path]:
    """Return the files that run when module `name` is imported: its parent packages and itself.

    A plain attribute has no file of its own.
    """
    modules = _modules(ROOT)
    parts = name.split(".")
    above = (".".join(parts[:depth]) for depth in range(2, len(parts) + 1))
    return [modules[module] for module in above if module in modules]


@cache
def _modules(root: Path) -> dict[str, Path]:
    """Return a dictionary from the name of each module and package below `root` to its file."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found
