"""Settings of the chapter models: deep networks, fusion and hazard models."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from metaswin.core.settings import Settings


class AugmentationSettings(Settings):
    """Random left-right flips, rotations (degrees), scaling, shifts (fraction of the patch), noise (of the window)."""

    flip: bool = True
    rotate: float = Field(default=15.0, ge=0)
    scale: float = Field(default=0.1, ge=0, lt=1)
    shift: float = Field(default=0.05, ge=0, lt=1)
    noise: float = Field(default=0.02, ge=0)


class DeepSettings(Settings):
    """Backbone and training.

    `embed_dim` is the Swin's first feature size and `window_size` the edge of its attention windows in tokens (a
    token is 2 × 2 × 2 voxels). Windows that divide patches.size / 2, / 4 and / 8 need no padding: 4 suits 32 and 64
    voxels, 6 suits 48; MONAI's own 7 costs three times the time of 4. Early stopping looks at a split of
    `early_stopping_fraction` of the training rows, only where that split holds at least `early_stopping_events`
    events; otherwise training runs for `epochs` on all of them. `amp` computes in bfloat16 on a GPU (float16 on old
    ones), never on the CPU; `compile` is torch.compile, minutes at the start of each training.
    """

    enabled: bool = True
    backbone: Literal["swin", "resnet", "densenet"] = "swin"
    embed_dim: int = Field(default=48, gt=0, multiple_of=12)
    window_size: int = Field(default=4, ge=2)
    resnet_depth: Literal[10, 18, 34] = 18
    pretrained: str | None = None
    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=4, ge=2)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup_epochs: int = Field(default=5, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    early_stopping_fraction: float = Field(default=0.2, gt=0, lt=0.5)
    early_stopping_events: int = Field(default=10, ge=1)
    patience: int = Field(default=15, ge=1)
    augmentation: AugmentationSettings = AugmentationSettings()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(
        default=1,
        ge=1,
        description="CPU threads of a training job; fixed, since it changes results. Many networks train side by side",
    )
    amp: bool = True
    compile: bool = False
    checkpoint_every: int = Field(default=5, ge=1)


Modality = Literal["clinical", "radiomics", "peri_radiomics", "deep", "anatomy"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)

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

    modalities: list[Modality] = list(MODALITIES[:4])
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


class SurvivalSettings(Settings):
    """The hazard head and its evaluation; for endpoints with a horizon and ``deaths: nonevent``.

    `arms: auto` fits the headline arm, each clinical set and volume; otherwise a list of arms as in `fusion.arms`.
    `intervals` is the highest number of time intervals; fewer where metastases are few. `groups` risk groups are
    cut at quantiles of inner out-of-fold risks of the training rows.
    """

    enabled: bool = True
    arms: Literal["auto"] | list[str] = "auto"
    intervals: int = Field(default=10, ge=1)
    groups: int = Field(default=3, ge=2, le=4)
    calibration_bins: int = Field(default=5, ge=2)
    network: NetworkSettings = NetworkSettings()
