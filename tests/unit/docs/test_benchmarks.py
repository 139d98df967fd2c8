"""The benchmarks are not run by the tests. Their imports of the package are checked, so that they do not rot unseen."""

import ast
import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[3] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_imports_names_that_exist(path):
    def exists(module, name):
        return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")

    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    missing = [
        f"{node.module}.{alias.name}"
        for node in imports
        if node.module and node.module.startswith("metaswin")
        for alias in node.names
        if not exists(node.module, alias.name)
    ]
    assert not missing


def test_there_are_benchmarks():
    assert len(BENCHMARKS) > 10
