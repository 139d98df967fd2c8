"""Locate, verify and download the weights of TotalSegmentator."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.config.structures import Model, model, needed_models
from metaswin.core.errors import UserError, several
from metaswin.core.files import file_hash, write_json

# With these settings TotalSegmentator sends no statistics; it has no option for this.
SILENT = {"totalseg_id": "metaswin", "send_usage_stats": False, "statistics_disclaimer_shown": True}

NNUNET_FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@contextmanager
def home(weights: Path, license_number: str | None = None) -> Iterator[Path]:
    """Create a separate home folder of TotalSegmentator for this process.

    TotalSegmentator rewrites the files of its home folder without a lock.

    Parameters
    ----------
    weights : Path
        Folder of the weights.
    license_number : str, optional
        Licence number for tasks that are not openly licensed.
    """
    folder = Path(tempfile.mkdtemp(prefix="metaswin-totalsegmentator-"))
    # nnU-Net reads its three variables once, at import. TotalSegmentator sets them too late for a plain import.
    places = {
        "TOTALSEG_HOME_DIR": str(folder),
        **dict.fromkeys(("TOTALSEG_WEIGHTS_PATH", *NNUNET_FOLDERS), str(weights.absolute())),
    }
    before = {name: os.environ.get(name) for name in places}
    config: dict[str, Any] = {**SILENT, "prediction_counter": 0}
    if license_number is not None:
        config["license_number"] = license_number
    (folder / "config.json").write_text(json.dumps(config))
    os.environ.update(places)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


CHECKPOINT = "fold_0/checkpoint_final.pth"
FILES = ("plans.json", "dataset.json", CHECKPOINT)


@dataclass(frozen=True)
class Weights:
    """The weights of one model on this machine; `problem` states what is wrong with them and is otherwise empty."""

    model: Model
    folder: Path
    problem: str

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in FILES]

    @property
    def size(self) -> int:
        """Size on disk (bytes)."""
        return sum(path.stat().st_size for path in self.files if path.is_file())


def required(settings: TotalSegmentatorSettings) -> list[Weights]:
    """Return the weights that the settings need, each with its problem if there is one.

    The function reads the two JSON files of a model, never its checkpoint.
    """
    numbers = needed_models(settings.tasks, settings.fast, settings.structures)
    return [_look(model(number), Path(settings.weights)) for number in numbers]


def _look(wanted: Model, root: Path) -> Weights:
    folder = root / wanted.folder / wanted.trained
    absent = [name for name in FILES if not (folder / name).is_file()]
    if len(absent) == len(FILES):
        return Weights(wanted, folder, "not found")
    if absent:
        return Weights(wanted, folder, f"incomplete: no {', '.join(absent)}")
    try:
        labels = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
        found = {int(value): name for name, value in labels.items() if int(value)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Weights(wanted, folder, f"dataset.json cannot be read ({error})")
    if found != wanted.labels:
        return Weights(wanted, folder, f"dataset.json has {len(found)} labels that are not those of this model")
    return Weights(wanted, folder, "")


def missing_weights(settings: TotalSegmentatorSettings) -> list[str]:
    """Return one message for the user if weights are missing or damaged; an empty list if all can be used."""
    wrong = [weights for weights in required(settings) if weights.problem]
    if not wrong:
        return []
    lines = "".join(f"\n      {weights.model.folder}: {weights.problem}" for weights in wrong)
    return [
        f"organs.backend: totalsegmentator needs weights for the tasks {', '.join(settings.tasks)}"
        f"{' (fast)' if settings.fast else ''}; {len(wrong)} of {len(required(settings))} models cannot be used "
        f"(searched in {Path(settings.weights).absolute()}):{lines}\n"
        "    With network:    metaswin weights fetch --configfile <your config>\n"
        "    Without network: run that on another machine and copy its weights folder to this one "
        "(organs.totalsegmentator.weights names it)\n"
        "    Without weights: organs: { backend: threshold } (tissues by HU, no organs)"
    ]


def fetch(settings: TotalSegmentatorSettings) -> None:
    """Download missing weights with TotalSegmentator's own code.

    Raises
    ------
    UserError
        If a download fails; the message lists what is still missing.
    """
    root = Path(settings.weights)
    root.mkdir(parents=True, exist_ok=True)
    failed = []
    with home(root):
        from totalsegmentator.libs import download_pretrained_weights

        for weights in required(settings):
            if not weights.problem:
                continue
            if weights.folder.parent.is_dir():
                failed.append(f"{weights.model.folder}: {weights.problem}; remove the folder {weights.folder.parent}")
                continue
            try:
                download_pretrained_weights(weights.model.number)
            except Exception as error:
                failed.append(f"{weights.model.folder}: {type(error).__name__}: {str(error).splitlines()[0]}")
    if failed:
        raise several("Some weights could not be downloaded:", failed)


def prepare_weights(output: str | Path, settings: TotalSegmentatorSettings) -> None:
    """Open every checkpoint that the settings need, before the batches of patients start.

    Parameters
    ----------
    output : path
        JSON: folder of each model → SHA-256 of its checkpoint.
    settings : TotalSegmentatorSettings

    Raises
    ------
    UserError
        If some cannot be used; the message lists all of them and what to do.
    """
    found = required(settings)
    wrong = [(weights, problem) for weights in found if (problem := weights.problem or verify(weights))]
    if wrong:
        raise several(
            "TotalSegmentator's weights cannot be used:",
            [
                f"{weights.model.folder}: {problem}; remove the folder {weights.folder.parent}, then metaswin weights "
                "fetch, or copy it again from a machine with network"
                for weights, problem in wrong
            ],
        )
    write_json(output, {weights.model.folder: file_hash(weights.folder / CHECKPOINT) for weights in found})


def verify(weights: Weights) -> str:
    """Open the checkpoint and return what is wrong with it; empty if it can be used."""
    from metaswin.core.checkpoints import read_checkpoint

    try:
        checkpoint = read_checkpoint(weights.folder / CHECKPOINT)
        return "" if checkpoint["network_weights"] else "the checkpoint contains no weights"
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"the checkpoint cannot be read ({type(error).__name__})"
