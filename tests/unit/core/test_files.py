"""Writing beside and renaming."""

import ast
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaswin.core.errors import UserError
from metaswin.core.files import atomic, read_json, read_table, read_volume, write_json, write_table, write_volume


def test_atomic_when_the_writer_fails_then_the_old_file_stays_and_no_other_remains(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_when_written_then_ending_is_kept_for_writers_that_look_at_it(tmp_path):
    with atomic(tmp_path / "a" / "ct.nii.gz") as temporary:
        assert temporary.name.endswith("ct.nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "a" / "ct.nii.gz").read_bytes() == b"x"


def test_json_when_value_is_nan_then_it_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_json_and_table_when_written_then_read_back_equal(tmp_path):
    write_json(tmp_path / "x.json", {"b": [1, None], "a": "µ"})
    assert read_json(tmp_path / "x.json") == {"a": "µ", "b": [1, None]}
    table = pd.DataFrame({"patient": ["A", "B"], "x": [1.5, None]})
    write_table(tmp_path / "t.parquet", table, {"engine": "e"})
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    import pyarrow.parquet as pq

    assert pq.read_schema(tmp_path / "t.parquet").metadata[b"engine"] == b"e"


def test_table_when_written_twice_then_bytes_are_equal(tmp_path):
    table = pd.DataFrame({"patient": ["A"], "x": [0.1]})
    write_table(tmp_path / "1.parquet", table)
    write_table(tmp_path / "2.parquet", table)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, and a way to forbid writing to it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]).returncode:
        pytest.skip("no right to mount a file system here")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    subprocess.run(["umount", str(folder)], check=True)


def random_volume(size=(100, 100, 100)):
    import SimpleITK as sitk

    return sitk.GetImageFromArray(np.random.default_rng(1).integers(0, 2**15, size, dtype=np.int16))


def write_tensors(path):
    import torch

    with atomic(path) as temporary:
        torch.save({"weights": torch.rand(500_000)}, temporary)


def write_safetensors(path):
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file({"weights": np.random.default_rng(1).random(500_000)}, temporary)


WRITERS = {
    "ct.nii.gz": lambda path: write_volume(path, random_volume()),
    "table.parquet": lambda path: write_table(path, pd.DataFrame({"x": np.random.default_rng(1).random(500_000)})),
    "facts.json": lambda path: write_json(path, ["x" * 3_000_000]),
    "state.pt": write_tensors,
    "model.safetensors": write_safetensors,
}


@pytest.mark.parametrize("name", WRITERS)
def test_writer_when_the_disk_is_full_then_one_clear_error_and_the_old_file_stays(small_disk, name):
    folder, _ = small_disk
    (folder / name).write_text("old")
    with pytest.raises(UserError, match=f"cannot write .*{name}: the disk is full; free some space"):
        WRITERS[name](folder / name)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "old"


@pytest.mark.parametrize("name", WRITERS)
def test_writer_when_the_disk_is_read_only_then_one_clear_error_and_old_file_stays(small_disk, name):
    folder, forbid_writing = small_disk
    (folder / name).write_text("old")
    forbid_writing()
    with pytest.raises(UserError, match=f"cannot write .*{name}: the file system is read-only"):
        WRITERS[name](folder / name)
    assert (folder / name).read_text() == "old"


@pytest.mark.parametrize("name", ["facts.json", "new/folder/facts.json"])
def test_writer_when_there_is_no_permission_then_one_clear_error(name):
    if os.geteuid():
        pytest.skip("only root can become another user here")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as told:
        os.chmod(folder, 0o555)
        child = os.fork()
        if child == 0:  # root may write everywhere
            os.setuid(65534)
            try:
                write_json(Path(folder) / name, 1)
            except Exception as error:
                told.write(f"{type(error).__name__}: {error}")
                told.flush()
            os._exit(0)
        os.waitpid(child, 0)
        told.seek(0)
        assert re.match(r"UserError: cannot write .*: no permission to write there; change", told.read())
        assert os.listdir(folder) == []


def test_writer_when_a_file_may_not_become_so_large_then_no_cut_volume_is_left(tmp_path):
    code = (
        "import sys, resource, numpy as np, SimpleITK as sitk\nfrom metaswin.core.files import write_volume\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "array = np.random.default_rng(1).integers(0, 2**15, (80, 80, 80), dtype=np.int16)\n"
        "write_volume(sys.argv[1], sitk.GetImageFromArray(array))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "ct.nii.gz"], capture_output=True, text=True)
    assert "it was cut short; look at the free space and at `ulimit -f`" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("components", [1, 3])
def test_volume_when_written_then_its_length_is_what_the_check_expects(tmp_path, dtype, components):
    import SimpleITK as sitk

    array = np.arange(4 * 5 * 6 * components).reshape(4, 5, 6, components).astype(dtype)
    write_volume(tmp_path / "v.nii.gz", sitk.GetImageFromArray(array, isVector=components > 1))
    read = sitk.GetArrayFromImage(read_volume(tmp_path / "v.nii.gz"))
    np.testing.assert_array_equal(read.reshape(array.shape), array)


def test_atomic_when_a_job_was_killed_before_then_its_temporary_file_is_removed(tmp_path):
    code = "import os, signal, sys\nfrom metaswin.core.files import atomic\nwith atomic(sys.argv[1]) as path:\n"
    code += "    path.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    path = tmp_path / "a[1].json"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", code, path])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_json(path, 1)
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


# Calls that write a file, and where they may stand outside `atomic`: folders that go with their job, and the simulator.
WRITING = re.compile(
    r"\.(to_csv|to_parquet|to_json|savefig|write_text|write_bytes|save_as|tofile)$|^(sitk\.WriteImage|torch\.save|np\.savez?|"
    r"pq\.write_table|(safetensors\.torch\.)?save_file|nib\.save|json\.dump|pickle\.dump|sitk\.WriteTransform)$"
)
ELSEWHERE = ("simulate/", "imaging/totalsegmentator.py", "imaging/weights.py")  # in folders of one process


def test_library_when_searched_then_files_are_only_written_temporarily_and_renamed(repository):
    library = repository / "src/metaswin"
    found = []
    for path in [*library.rglob("*.py"), *(repository / "workflow/scripts").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        inside = [
            range(node.lineno, (node.end_lineno or 0) + 1)
            for node in ast.walk(tree)
            if isinstance(node, ast.With) and any("atomic(" in ast.unparse(item.context_expr) for item in node.items)
        ]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or any(node.lineno in lines for lines in inside):
                continue
            name = ast.unparse(node.func)
            opens = name == "open" and len(node.args) > 1 and "w" in ast.unparse(node.args[1])
            if (opens or WRITING.search(name)) and not str(path.relative_to(repository)).startswith(
                tuple(f"src/metaswin/{place}" for place in ELSEWHERE)
            ):
                found.append(f"{path.relative_to(repository)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []
