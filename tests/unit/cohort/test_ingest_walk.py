"""Walking folder trees."""

import os
import tempfile
from pathlib import Path

import pytest

from metaswin.cohort.walk import folder_state, walk


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def test_walk_when_files_are_at_any_depth_then_all_are_listed_sorted(tmp_path):
    make(tmp_path, "b/2", "b/1", "a", "b/c/d/e.txt", ".hidden")
    files, unlisted = walk(tmp_path)
    assert [file.path for file in files] == [".hidden", "a", "b/1", "b/2", "b/c/d/e.txt"]
    assert all(file.size == 1 for file in files)
    assert unlisted == []


def test_walk_when_links_form_a_loop_then_each_file_is_listed_once(tmp_path):
    make(tmp_path, "a/1", "b/2")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    files, unlisted = walk(tmp_path)
    assert sorted(Path(file.path).name for file in files) == ["1", "2"]
    assert unlisted == []


def test_walk_when_a_link_dangles_then_it_is_reported_and_the_others_are_listed(tmp_path):
    make(tmp_path, "a")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    files, unlisted = walk(tmp_path)
    assert [file.path for file in files] == ["a"]
    assert [(entry.path, entry.code) for entry in unlisted] == [("gone", "unreadable-file")]


def test_walk_when_there_is_a_pipe_then_it_is_ignored(tmp_path):
    make(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    assert [file.path for file in walk(tmp_path)[0]] == ["a"]


def test_walk_when_a_name_is_not_utf8_then_it_is_reported(tmp_path):
    (tmp_path / os.fsdecode(b"m\xfcller")).mkdir()
    _, unlisted = walk(tmp_path)
    assert [entry.code for entry in unlisted] == ["undecodable-name"]
    assert unlisted[0].path.encode("utf-8")


@pytest.fixture
def folder_of_plain_user():
    """A folder of somebody who is not root: root may read every folder, so the test steps down meanwhile."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        if is_root:
            os.seteuid(0)


def test_walk_when_a_folder_cannot_be_read_then_it_is_reported(folder_of_plain_user):
    make(folder_of_plain_user, "a", "closed/b")
    (folder_of_plain_user / "closed").chmod(0)
    try:
        files, unlisted = walk(folder_of_plain_user)
    finally:
        (folder_of_plain_user / "closed").chmod(0o700)
    assert [file.path for file in files] == ["a"]
    assert [(entry.path, entry.code) for entry in unlisted] == [("closed", "unreadable-folder")]


@pytest.mark.parametrize("added", ["new", "p1/new", "p1/ct/new"])
def test_folder_state_when_something_is_added_up_to_two_levels_down_then_it_changes(tmp_path, added):
    make(tmp_path, "p1/ct/1", "p2/ct/1")
    stamp(tmp_path)
    before = folder_state(tmp_path)
    make(tmp_path, added)
    assert folder_state(tmp_path) != before


def test_folder_state_when_nothing_changes_or_the_tree_is_moved_then_it_stays(tmp_path):
    make(tmp_path / "here", "p1/ct/1", "p2/ct/1")
    stamp(tmp_path)
    before = folder_state(tmp_path / "here")
    assert folder_state(tmp_path / "here") == before
    (tmp_path / "here").rename(tmp_path / "there")
    assert folder_state(tmp_path / "there") == before


def stamp(root: Path) -> None:
    """Old times, so that a change within the clock's grain still shows."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, (1e9, 1e9))
