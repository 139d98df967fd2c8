"""Hash the library code a job script depends on, so that an edit re-runs exactly what it touches.

Snakemake's code trigger sees only the script file. Every rule carries `source_hash(script)` as a parameter.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "metaswin"
ROOT = Path(__file__).parent


def source_hash(script: str | Path) -> str:
    """Hash (16 hex digits) of every metaswin module that `script` imports, directly or through others.

    Imports inside functions count. The text is parsed and dumped without positions, so that comments and
    blank lines do not re-run anything; docstrings do.
    """
    digest = hashlib.sha256()
    for module in sorted(dependencies(Path(script))):
        digest.update(module.relative_to(ROOT).as_posix().encode())
        digest.update(_facts(module)[0])
    return digest.hexdigest()[:16]


def dependencies(script: Path) -> set[Path]:
    """Files of every metaswin module `script` imports, directly or through others (not `script` itself)."""
    found: set[Path] = set()
    waiting = list(_imported_files(script))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_imported_files(module))
    return found


def _imported_files(path: Path) -> set[Path]:
    return {file for name in _facts(path)[1] for file in _files_of(name)}


@cache
def _facts(path: Path) -> tuple[bytes, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    own = tuple(sorted(name for name in names if name == PACKAGE or name.startswith(f"{PACKAGE}.")))
    return ast.dump(tree).encode(), own


def _files_of(name: str) -> list[Path]:
    """Files that importing module `name` runs: the packages above it and itself; none for a plain attribute."""
    parts = name.split(".")[1:]
    files = []
    for depth in range(1, len(parts) + 1):
        base = ROOT.joinpath(*parts[:depth])
        if (base / "__init__.py").is_file():
            files.append(base / "__init__.py")
        elif base.with_suffix(".py").is_file():
            files.append(base.with_suffix(".py"))
    return files
