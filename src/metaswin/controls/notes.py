"""What was refitted in a control and what was not, in words."""

from collections.abc import Mapping, Sequence

from metaswin.controls.settings import ControlsSettings, PermutationSettings

LEAKY = (
    "Wrong on purpose: features were selected before the split, on all rows and labels, the test rows among them; "
    "fusion as in the run. What such a mistake would have reported."
)
SHUFFLED = (
    "Radiomics of regions whose voxels are shuffled: same histogram and shape, no texture. Selection and fusion are "
    "refitted; clinical columns and the deep score are those of the run."
)
FEWEST = 200


def left_out(control: str, settings: ControlsSettings, reasons: Mapping[str, str]) -> str:
    """Why a control was not run: the data cannot have it, or the user left it out."""
    if control in reasons:
        return f"not applicable: {reasons[control]}"
    if not getattr(settings, control):
        return f"left out by the setting controls.{control}: false"
    raise ValueError(f"the control {control} should have been run")


def permuted_note(
    arm: str, head: str, n: int, settings: PermutationSettings, penalties: Mapping[str, Sequence[float]]
) -> str:
    """What the permutations of an arm refit."""
    fewer = f" ({FEWEST} or more are asked for)" if n < FEWEST else ""
    text = f"The outcome was permuted {n} times{fewer}; label, time and event move together. Refitted each time"
    text += ", in the first repeat: folds"
    if "radiomics" in arm:
        text += f", selection ({settings.trees} trees)"
    text += f", encoding and the {head} head "
    if settings.penalty == "chosen":
        text += "with its penalty, in inner folds. "
    else:
        text += f"at one penalty ({middle(penalties[head]):g}). "
    if "deep" in arm.split("+"):
        text += (
            "The deep networks were trained on one permuted outcome, the first, and their scores serve in all: "
            "p is approximate. "
        )
    return text + "The range holds the permutations; p is that of the refit."


def middle(penalties: Sequence[float]) -> float:
    """The penalty that stands for all where none is chosen."""
    return sorted(penalties)[len(penalties) // 2]
