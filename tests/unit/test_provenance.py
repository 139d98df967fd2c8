"""Source hashes: an edit of library code changes the hash of what depends on it, and of nothing else."""

import pytest

from metaswin import provenance


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
    provenance._facts.cache_clear()
    yield root, script
    provenance._facts.cache_clear()


def rehash(script):
    provenance._facts.cache_clear()
    return provenance.source_hash(script)


def test_hash_when_a_module_imported_inside_a_function_changes_then_it_changes(library):
    root, script = library
    before = rehash(script)
    (root / "files.py").write_text("def write():\n    return 2\n")
    assert rehash(script) != before


def test_hash_when_an_unrelated_module_a_comment_or_a_blank_line_changes_then_it_stays(library):
    root, script = library
    before = rehash(script)
    (root / "other.py").write_text("x = 2\n")
    (root / "files.py").write_text("# why\n\ndef write():\n    return 1\n")
    assert rehash(script) == before


def test_dependencies_when_asked_for_a_real_script_then_stages_it_does_not_use_are_absent(repository):
    found = {p.relative_to(provenance.ROOT).as_posix() for p in provenance.dependencies(
        repository / "workflow/scripts/make_folds.py")}  # fmt: skip
    assert "folds/make.py" in found
    assert "files.py" in found
    assert not any(name.startswith(("radiomics/", "deep/", "images/")) for name in found)
