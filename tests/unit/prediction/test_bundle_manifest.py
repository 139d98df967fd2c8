"""The manifest: a bundle that was touched is refused; its zip is the same bytes for the same files."""

import os
import zipfile

import pytest

from metaswin.core.errors import UserError
from metaswin.core.files import write_json
from metaswin.prediction.bundle import fingerprint, pack, tampering, unpack, write_manifest


@pytest.fixture
def sealed(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "dm/r0-f0").mkdir(parents=True)
    (folder / "bundle.json").write_text("{}")
    (folder / "dm/r0-f0/feature_set.safetensors").write_bytes(b"\x00\x01\x02")
    write_manifest(folder)
    return folder


def test_bundle_when_untouched_then_nothing_is_wrong(sealed):
    assert tampering(sealed) == []


def test_bundle_when_every_file_is_touched_in_turn_then_it_is_named(sealed):
    for name in ("bundle.json", "dm/r0-f0/feature_set.safetensors"):
        path = sealed / name
        before = path.read_bytes()
        path.write_bytes(before[:-1] + b"\xff")
        assert tampering(sealed) == [f"{sealed}: {name} was changed; copy the bundle again"]
        path.unlink()
        assert tampering(sealed) == [f"{sealed}: {name} is missing; copy the bundle again"]
        path.write_bytes(before)
    assert tampering(sealed) == []


def test_bundle_when_files_are_added_or_linked_then_it_is_refused(sealed):
    (sealed / "dm/extra.json").write_text("{}")
    assert "dm/extra.json does not belong to the bundle" in tampering(sealed)[0]
    (sealed / "dm/extra.json").unlink()
    os.symlink("/etc/hostname", sealed / "dm/link")
    assert "dm/link is a symbolic link" in tampering(sealed)[0]


def test_bundle_with_snakemakes_timestamp_file_counts_as_untouched(sealed):
    (sealed / ".snakemake_timestamp").touch()
    assert tampering(sealed) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "has no manifest.json"), ("[1", "is not the manifest"), ('{"format": 1}', "is not the manifest")],
)
def test_manifest_when_absent_or_broken_then_the_message_says_so(sealed, content, words):
    (sealed / "manifest.json").unlink()
    if content is not None:
        (sealed / "manifest.json").write_text(content)
    (message,) = tampering(sealed)
    assert words in message


def test_manifest_when_of_another_format_then_the_message_names_both(sealed):
    write_json(sealed / "manifest.json", {"format": 99, "files": {}})
    assert "has the format 99" in tampering(sealed)[0]


def test_fingerprint_when_one_file_changes_and_is_sealed_again_then_it_changes(sealed):
    before = fingerprint(sealed)
    (sealed / "bundle.json").write_text('{"a": 1}')
    write_manifest(sealed)
    assert fingerprint(sealed) != before


def test_zip_when_packed_twice_then_the_bytes_are_equal_and_it_unpacks_untouched(sealed, tmp_path):
    pack(sealed, tmp_path / "one.zip")
    os.utime(sealed / "bundle.json", (1, 1))
    pack(sealed, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    unpack(tmp_path / "one.zip", tmp_path / "unpacked")
    assert tampering(tmp_path / "unpacked") == []


@pytest.mark.parametrize("name", ["../outside.json", "/outside.json", "a/../../outside.json", "..\\outside.json"])
def test_zip_when_a_path_leads_out_then_it_is_refused_and_nothing_is_written_there(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(UserError, match="outside of the bundle"):
        unpack(tmp_path / "bad.zip", tmp_path / "in/here")
    assert not list(tmp_path.rglob("outside.json"))


def test_zip_when_the_file_is_not_a_zip_then_the_message_says_so(tmp_path):
    (tmp_path / "bad.zip").write_text("not a zip")
    with pytest.raises(UserError, match="not a readable zip"):
        unpack(tmp_path / "bad.zip", tmp_path / "here")
