"""Settings of the controls."""

from typing import Annotated, Literal

from pydantic import Field

from metaswin.settings import Settings

Heads = Annotated[list[Literal["network", "logistic"]], Field(min_length=1)]


class PermutationSettings(Settings):
    """The permuted outcome.

    `n` permutations, in jobs of `batch`. Each is refitted as the run is, but for what makes it affordable: the first
    repeat only; the `heads` named, of the headline arm also the head that answers; a forest of `trees` trees; and
    `penalty: fixed`, the middle one of the head's penalties, which needs no inner fit. ``penalty: chosen`` selects
    and fits in every inner fit to choose the penalty as the run does. The unpermuted outcome is refitted in the
    same way, and p compares with that. `deep: once` trains the networks of the first repeat on one permuted outcome
    and takes their scores in all permutations; ``none`` leaves arms with `deep` out, and so do
    `fusion.deep_score` in-sample.
    """

    n: int = Field(default=200, ge=1)
    batch: int = Field(default=20, ge=1)
    heads: Heads = ["logistic"]
    penalty: Literal["fixed", "chosen"] = "fixed"
    trees: int = Field(default=100, ge=1)
    deep: Literal["once", "none"] = "once"


class ControlsSettings(Settings):
    """Controls through the same folds; one that is left out is named in the report.

    `leaky` selects features before the split: wrong on purpose, to show how much that inflates. `shuffled` takes
    the radiomics of regions whose voxels are shuffled: same histogram and shape, no texture. `permuted` refits on
    permuted outcomes.
    """

    leaky: bool = True
    shuffled: bool = True
    permuted: bool = True
    permutation: PermutationSettings = PermutationSettings()
