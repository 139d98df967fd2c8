"""Foreign checkpoints: weights are read, code never runs; and nothing in the library opens a pickle another way."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from metaswin.core.checkpoints import read_checkpoint, weights_only
from metaswin.core.errors import UserError


def nnunet_like():
    """What nnU-Net v2 stores: weights, plain values, numpy numbers in its log."""
    return {
        "network_weights": {"conv.weight": torch.arange(4.0)},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "logging": {
            "mean_fg_dice": [np.float64(0.5), np.float32(0.25)],
            "epochs": [np.int64(3)],
            "best": np.bool_(True),
        },
        "grad_scaler_state": None,
        "_best_ema": np.float64(0.75),
    }


class Bomb:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_checkpoint_when_it_is_like_those_of_nnunet_then_it_is_read(tmp_path):
    torch.save(nnunet_like(), tmp_path / "a.pth")
    read = read_checkpoint(tmp_path / "a.pth")
    assert read["network_weights"]["conv.weight"].tolist() == [0, 1, 2, 3]
    assert read["logging"]["mean_fg_dice"] == [0.5, 0.25]


def test_checkpoint_when_numpy_1_wrote_it_then_it_is_read(tmp_path):
    """The module of numpy's scalars had another name; protocol 2 writes it as text of known length."""
    torch.save({"best": np.float64(0.75)}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    assert b"numpy._core.multiarray" in data
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(tmp_path / "b.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_checkpoint(tmp_path / "b.pth")["best"] == 0.75


@pytest.mark.parametrize("loader", [read_checkpoint, lambda path: _as_nnunet_loads(path)])
def test_checkpoint_when_it_contains_code_then_it_is_refused_and_the_code_does_not_run(tmp_path, loader):
    torch.save({**nnunet_like(), "extra": Bomb(tmp_path / "exploded")}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth contains more than weights"):
        loader(tmp_path / "a.pth")
    assert not (tmp_path / "exploded").exists()


def _as_nnunet_loads(path):
    with weights_only():
        return torch.load(path, map_location=torch.device("cpu"), weights_only=False)


def test_bomb_when_loaded_by_plain_torch_then_it_does_explode(tmp_path):
    torch.save(Bomb(tmp_path / "exploded"), tmp_path / "a.pth")
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "exploded").exists()


def test_torch_when_the_block_ends_then_it_loads_as_before(tmp_path):
    before = torch.load
    with pytest.raises(FileNotFoundError), weights_only():
        torch.load(tmp_path / "absent.pth")
    assert torch.load is before


def test_library_when_searched_then_no_pickle_is_opened_but_by_weights_only(repository):
    """Calls of torch.load, pickle, joblib, numpy's pickles and nnU-Net's own loading, wherever they stand."""
    found = []
    for path in [*(repository / "src/metaswin").rglob("*.py"), *(repository / "workflow").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        guarded = [
            range(node.lineno, (node.end_lineno or 0) + 1)
            for node in ast.walk(tree)
            if isinstance(node, ast.With) and any("weights_only()" in ast.unparse(i.context_expr) for i in node.items)
        ]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or any(node.lineno in lines for lines in guarded):
                continue
            call = ast.unparse(node)
            name = ast.unparse(node.func)
            loads = name in ("torch.load", "pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle")
            loads |= name.endswith("initialize_from_trained_model_folder") or "allow_pickle=True" in call
            if loads and "weights_only=True" not in call:
                found.append(f"{Path(path).relative_to(repository)}:{node.lineno}: {call}")
    assert found == []
