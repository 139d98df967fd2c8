"""List the tasks of TotalSegmentator, the weights of each task, and one stable id for every structure.

The names of structures are those of `totalsegmentator.map_to_binary`. Numbers and folders of the weights are only in
the download code of TotalSegmentator. They are repeated here (version 2.12).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metaswin.config.imaging import LICENSED_TASKS, OPEN_TASKS, TISSUES

TOTAL = "total"
FAST, ROUGH = 297, 298  # `total` at 3 mm; `total` at 6 mm, which other tasks use to crop the image
PARTS = range(291, 296)  # the models of `total`
ROUGH_TRAINER = "nnUNetTrainer_4000epochs_NoMirroring"
HEAD_TRAINER = "nnUNetTrainer_DASegOrd0_NoMirroring"

# Dataset number → folder in the weights folder, and the folder of the trained model in it.
WEIGHT_FOLDERS = {
    291: ("Dataset291_TotalSegmentator_part1_organs_1559subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
    292: ("Dataset292_TotalSegmentator_part2_vertebrae_1532subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
    293: ("Dataset293_TotalSegmentator_part3_cardiac_1559subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
    294: ("Dataset294_TotalSegmentator_part4_muscles_1559subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
    295: ("Dataset295_TotalSegmentator_part5_ribs_1559subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
    297: ("Dataset297_TotalSegmentator_total_3mm_1559subj", f"{ROUGH_TRAINER}__nnUNetPlans__3d_fullres"),
    298: ("Dataset298_TotalSegmentator_total_6mm_1559subj", f"{ROUGH_TRAINER}__nnUNetPlans__3d_fullres"),
    775: ("Dataset775_head_glands_cavities_492subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres_high"),
    776: ("Dataset776_headneck_bones_vessels_492subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres_high"),
    777: ("Dataset777_head_muscles_492subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres_high"),
    778: ("Dataset778_headneck_muscles_part1_492subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres_high"),
    779: ("Dataset779_headneck_muscles_part2_492subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres_high"),
    115: ("Dataset115_mandible", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres"),
    351: ("Dataset351_oculomotor_muscles_18subj", f"{HEAD_TRAINER}__nnUNetPlans__3d_fullres"),
    409: ("Dataset409_neuro_550subj", "nnUNetTrainer_DASegOrd0__nnUNetPlans__3d_fullres_high"),
    303: ("Dataset303_face_1559subj", "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"),
}
TASK_MODELS = {
    "head_glands_cavities": (775, ROUGH),
    "headneck_bones_vessels": (776, ROUGH),
    "headneck_muscles": (778, 779, ROUGH),
    "head_muscles": (777, ROUGH),
    "craniofacial_structures": (115, ROUGH),
    "oculomotor_muscles": (351, ROUGH),
    "brain_structures": (409, ROUGH),
    "face": (303,),
}
"""Models of each task except `total`. Tasks that do not need the whole body first crop it with the rough model."""


@dataclass(frozen=True)
class Model:
    """Describe one nnU-Net model of TotalSegmentator.

    Attributes
    ----------
    number : int
        Dataset number.
    folder : str
        Folder in the weights folder.
    trained : str
        Folder in `folder`, ``<trainer>__nnUNetPlans__<configuration>``.
    labels : dict of int to str
        Labels of the model.
    """

    number: int
    folder: str
    trained: str
    labels: dict[int, str]


def model(number: int) -> Model:
    """Return the model of a dataset number of `WEIGHT_FOLDERS`."""
    from totalsegmentator import map_to_binary as maps

    parts = {**maps.map_taskid_to_partname_ct, **maps.map_taskid_to_partname_headneck_muscles}
    if number in parts:
        labels = {**maps.class_map_5_parts, **maps.class_map_parts_headneck_muscles}[parts[number]]
    else:
        task = next((task for task, numbers in TASK_MODELS.items() if number in numbers and number != ROUGH), TOTAL)
        labels = maps.class_map[task]
    folder, trained = WEIGHT_FOLDERS[number]
    return Model(number, folder, trained, dict(labels))


def structures(task: str) -> list[str]:
    """Return the names of the structures of a task, in the order of its labels."""
    from totalsegmentator.map_to_binary import class_map

    return [class_map[task][label] for label in sorted(class_map[task])]


def needed_models(tasks: Iterable[str], fast: bool, wanted: Sequence[str]) -> list[int]:
    """Return the numbers of the models that tasks need, in ascending order.

    Parameters
    ----------
    tasks : iterable of str
        Names of `OPEN_TASKS` and `LICENSED_TASKS`.
    fast : bool
        Whether `total` runs at 3 mm.
    wanted : sequence of str
        Structures of `total` to segment. Only the models of `total` that segment one of them are needed. Empty: all.
    """
    numbers: set[int] = set()
    for task in tasks:
        if task == TOTAL and fast:
            numbers.add(FAST)
        elif task == TOTAL:
            drawn = set(wanted) or set(structures(TOTAL))
            numbers |= {number for number in PARTS if set(model(number).labels.values()) & drawn}
            numbers |= {ROUGH} if wanted else set()
        else:
            numbers |= set(TASK_MODELS[task])
    return sorted(numbers)


def drawn(tasks: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return the names of all structures of the tasks, each once; of `total` only those `wanted` (empty: all)."""
    names = [name for task in tasks for name in structures(task) if task != TOTAL or not wanted or name in wanted]
    return list(dict.fromkeys(names))


def organ_ids() -> dict[str, int]:
    """Return the id of every structure of every task; the ids follow those of the tissues.

    The ids do not depend on which tasks run. A structure that two tasks segment has one id.
    """
    names = dict.fromkeys(name for task in (*OPEN_TASKS, *LICENSED_TASKS) for name in structures(task))
    return {name: number for number, name in enumerate(names, start=len(TISSUES) + 1)}
