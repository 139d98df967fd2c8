"""Settings of fusion."""

from typing import Annotated, Literal

from pydantic import Field

from metaswin.settings import Settings

MODALITIES = ("clinical", "radiomics", "peri_radiomics", "deep", "anatomy")

Penalties = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


class NetworkSettings(Settings):
    """The fully connected fusion network: one encoder a modality, joined, one hidden layer, one logit.

    `penalties` are precisions of the Gaussian prior on all weights (the penalty is ``penalty / (2 n) * |w|²``);
    the one with the lowest log loss on inner out-of-fold predictions is taken. Training sets of at most
    `batch_size` rows are used whole in each of the `steps`.
    """

    encoder_width: int = Field(default=8, ge=1)
    hidden_width: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    penalties: Penalties = [0.1, 0.5, 2.5, 12.0, 60.0]
    learning_rate: float = Field(default=0.02, gt=0)
    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=256, ge=1)
    ensemble: int = Field(default=3, ge=1, description="networks with different seeds, their logits averaged")


DeepScore = Literal["cross-fitted", "in-sample"]


class FusionSettings(Settings):
    """Modalities and arms.

    `deep_score` says which network scores the rows that fusion is fitted on. ``cross-fitted``: the network that left
    out the row's fold beside the test fold. ``in-sample``: the network that has seen the row, probably as in the paper;
    the fusion then relies too much on that score.
    `clinical_set` is the named clinical set that the `clinical` modality uses; the first one when not given.
    `arms: auto` makes each modality alone, each pair, all together, anatomy alone where it is no modality here, volume
    alone and each clinical set alone;
    otherwise a list of arms such as ``clinical+radiomics``, ``volume``, ``clinical:staging``, ``all``.
    """

    modalities: list[Literal["clinical", "radiomics", "peri_radiomics", "deep", "anatomy"]] = list(MODALITIES[:4])
    clinical_set: str | None = None
    arms: Literal["auto"] | list[str] = "auto"
    headline_arm: str = "all"
    deep_score: DeepScore = "cross-fitted"
    network: NetworkSettings = NetworkSettings()
    logistic_penalties: Penalties = Field(
        default=[1.0, 4.0, 16.0, 64.0, 256.0],
        description="1/C of the reference logistic regression, chosen like the network's penalties",
    )
    category_min_rows: int = Field(
        default=2, ge=1, description="a category in fewer training rows than this counts as unknown"
    )
    recalibrate: bool = Field(
        default=True, description="fit intercept and slope of the logits on inner out-of-fold predictions"
    )
    flag_single_column_auc: float = Field(default=0.95, gt=0.5, le=1)
