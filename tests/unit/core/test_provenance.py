"""Source hashes: an edit of library code changes the hash of what depends on it, and of nothing else."""

import ast
import os
import subprocess
import sys

import pytest

from metaswin.core import provenance


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of three modules and a script that uses two of them, one through the other."""
    root = tmp_path / "metaswin"
    (root / "images").mkdir(parents=True)
    (root / "images/__init__.py").write_text('"""Images."""\n')
    (root / "images/convert.py").write_text("def convert():\n    from metaswin.files import write\n    return write\n")
    (root / "files.py").write_text("def write():\n    return 1\n")
    (root / "other.py").write_text("x = 1\n")
    script = tmp_path / "script.py"
    script.write_text("from metaswin.images.convert import convert\nconvert()\n")
    monkeypatch.setattr(provenance, "ROOT", root)
    forget()
    yield root, script
    forget()


def forget():
    provenance._facts.cache_clear()
    provenance._modules.cache_clear()


def rehash(script):
    forget()
    return provenance.source_hash(script)


def test_hash_when_a_module_imported_inside_a_function_changes_then_it_changes(library):
    root, script = library
    before = rehash(script)
    (root / "files.py").write_text("def write():\n    return 2\n")
    assert rehash(script) != before


def test_hash_when_other_modules_comments_docstrings_or_blanks_change_then_it_stays(library):
    root, script = library
    (root / "files.py").write_text('"""Files."""\ndef write():\n    """Write."""\n    return 1\n')
    before = rehash(script)
    (root / "other.py").write_text("x = 2\n")
    (root / "files.py").write_text('"""All files."""\n# why\n\ndef write():\n    """Write one."""\n\n    return 1\n')
    assert rehash(script) == before


@pytest.mark.parametrize(
    "edit", ["return 1.0", "return not 1", "return {1, 3} & {1}", "return len", "return (1,)", "return -1"]
)
def test_hash_when_a_function_changes_in_any_way_then_it_changes(library, edit):
    root, script = library
    before = rehash(script)
    (root / "files.py").write_text(f"def write():\n    {edit}\n")
    assert rehash(script) != before


def test_hash_when_a_default_argument_or_imported_module_changes_then_it_changes(library):
    root, script = library
    found = [rehash(script)]
    for text in (
        "def write(a=1):\n    return 1\n",
        "def write(a=2):\n    return 1\n",
        "def write(*, a=2):\n    return 1\n",
    ):
        (root / "files.py").write_text(text)
        found.append(rehash(script))
    (root / "files.py").write_text("from metaswin import other\n")
    found.append(rehash(script))
    (root / "other.py").write_text("x = 2\n")
    assert len({*found, rehash(script)}) == 6


def test_hash_when_taken_in_other_processes_then_the_same(repository):
    script = repository / "workflow/scripts/report/report.py"
    command = f"from metaswin.core.provenance import source_hash; print(source_hash({str(script)!r}))"
    found = {
        subprocess.check_output([sys.executable, "-c", command], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in "123"
    }
    assert len(found) == 1


def test_dependencies_when_compared_with_imports_of_syntax_tree_then_none_is_missing(repository):
    for script in (repository / "workflow/scripts").rglob("*.py"):
        for module in (script, *provenance.dependencies(script)):
            named = set()
            for node in ast.walk(ast.parse(module.read_text())):
                if isinstance(node, ast.Import):
                    named |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0
                    named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            own = {name for name in named if name.split(".")[0] == "metaswin"}
            files = {file for name in own for file in provenance._files_of(name)}
            assert files <= provenance._facts(module)[1], module


def test_dependencies_when_of_a_real_script_then_stages_it_does_not_use_are_absent(repository):
    found = {p.relative_to(provenance.ROOT).as_posix() for p in provenance.dependencies(
        repository / "workflow/scripts/cohort/make_folds.py")}  # fmt: skip
    assert "cohort/folds.py" in found
    assert "core/files.py" in found
    assert not any(name.startswith(("radiomics/", "models/", "imaging/")) for name in found)


def test_code_version_when_in_a_checkout_then_the_source_hash(repository):
    script = repository / "workflow/scripts/report/report.py"
    assert provenance.in_checkout()
    assert provenance.code_version(script) == provenance.source_hash(script)


def test_code_version_when_installed_then_a_patch_release_continues_a_run(library, monkeypatch):
    _, script = library  # not below src, beside no pyproject.toml
    found = []
    for version in ("1.2.3", "1.2.9", "1.3.0"):
        monkeypatch.setattr(provenance, "__version__", version)
        found.append(provenance.code_version(script))
    assert found == ["1.2", "1.2", "1.3"]
