"""Define the settings of the chapter models: deep networks, fusion and hazard models."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from metaswin.core.settings import Device, Settings


class AugmentationSettings(Settings):
    """Random changes of each training patch."""

    flip: bool = Field(default=True, description="Left-right flips.")
    rotate: float = Field(default=15.0, ge=0, description="Largest rotation (degrees).")
    scale: float = Field(default=0.1, ge=0, lt=1, description="Largest change of size (fraction).")
    shift: float = Field(default=0.05, ge=0, lt=1, description="Largest shift (fraction of the patch).")
    noise: float = Field(default=0.02, ge=0, description="Standard deviation of the noise (fraction of the window).")


class DeepSettings(Settings):
    """Deep networks that are trained on the patches: backbone and training."""

    enabled: bool = Field(default=True, description="Train the networks. The modality deep is their score.")
    backbone: Literal["swin", "resnet", "densenet"] = Field(default="swin", description="Type of network.")
    embed_dim: int = Field(default=48, gt=0, multiple_of=12, description="Feature size of the Swin's first stage.")
    window_size: int = Field(
        default=4,
        ge=2,
        description="Edge of the Swin's attention windows (tokens of 2 x 2 x 2 voxels). Windows that divide "
        "patches.size / 2, / 4 and / 8 need no padding: use 4 for 32 and 64 voxels, 6 for 48. MONAI's default of 7 "
        "takes three times as long as 4.",
    )
    resnet_depth: Literal[10, 18, 34] = Field(default=18, description="Layers of the ResNet.")
    pretrained: str | None = Field(
        default=None, description="File with initial Swin weights, such as MONAI's self-supervised weights."
    )
    components: int = Field(
        default=16,
        ge=0,
        description="Number of principal components of the training rows' radiomics features. The encoder learns to "
        "predict them before it learns the outcome, also in training rows with an unknown outcome. 0: it learns only "
        "the outcome.",
    )
    pretrain_epochs: int = Field(default=100, ge=0, description="Epochs in which the encoder learns the components.")
    pretrain_learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of these epochs.")
    epochs: int = Field(
        default=0,
        ge=0,
        description="Largest number of subsequent epochs in which all weights learn the outcome. 0: the classification "
        "layer is a regression of the outcome on the predicted components (docs/methods.md).",
    )
    batch_size: int = Field(default=4, ge=2, description="Patches per step.")
    learning_rate: float = Field(
        default=5e-4,
        gt=0,
        description="Learning rate after the warm-up. It then decreases to zero along half a cosine.",
    )
    weight_decay: float = Field(default=1e-2, ge=0, description="Weight decay of the optimiser.")
    warmup_epochs: int = Field(default=5, ge=0, description="Epochs in which the learning rate increases linearly.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Dropout rate.")
    early_stopping_fraction: float = Field(
        default=0.2, gt=0, lt=0.5, description="Share of the training rows that is used for early stopping."
    )
    early_stopping_events: int = Field(
        default=10,
        ge=1,
        description="Smallest number of events in this share. With fewer, the training uses all epochs and all "
        "training rows.",
    )
    patience: int = Field(default=15, ge=1, description="Epochs without improvement after which training stops.")
    augmentation: AugmentationSettings = AugmentationSettings()
    device: Device = "auto"
    threads: int = Field(
        default=1,
        ge=1,
        description="CPU threads of a training job. The number is fixed because it changes the results. Many networks "
        "are trained in parallel.",
    )
    amp: bool = Field(
        default=True,
        description="Compute in bfloat16 on a GPU (float16 on older GPUs). The CPU always computes in float32.",
    )
    compile: bool = Field(
        default=False, description="Use torch.compile, which takes minutes at the start of each training."
    )
    checkpoint_every: int = Field(default=5, ge=1, description="Epochs between two checkpoints.")

    @property
    def guided(self) -> bool:
        """Return whether the encoder learns radiomics components first."""
        return self.components > 0 and self.pretrain_epochs > 0

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.epochs == 0 and not self.guided:
            raise ValueError(
                "epochs is 0, and components or pretrain_epochs is 0: the network would learn nothing; set epochs to "
                "50 or more, or set both components and pretrain_epochs above 0"
            )
        return self


Modality = Literal["clinical", "radiomics", "peri_radiomics", "deep", "embedding", "anatomy"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)

Penalties = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


class NetworkSettings(Settings):
    """Fully connected network: one encoder per modality, their concatenation, one hidden layer and one logit."""

    encoder_width: int = Field(default=8, ge=1, description="Units of each encoder.")
    hidden_width: int = Field(default=16, ge=1, description="Units of the hidden layer.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Dropout rate.")
    penalties: Penalties = Field(
        default=[0.1, 0.5, 2.5, 12.0, 60.0],
        description="Precisions of the Gaussian prior on all weights. A precision p adds the penalty p / (2 n) * |w|². "
        "The precision with the lowest log loss on inner out-of-fold predictions is used.",
    )
    learning_rate: float = Field(default=0.02, gt=0, description="Learning rate of the optimiser.")
    steps: int = Field(default=200, ge=1, description="Training steps.")
    batch_size: int = Field(
        default=256, ge=1, description="Rows per step. Each step uses all rows of training sets of at most this size."
    )
    ensemble: int = Field(
        default=3, ge=1, description="Number of networks with different seeds. Their logits are averaged."
    )


DeepScore = Literal["cross-fitted", "in-sample"]


class FusionSettings(Settings):
    """Modalities, the feature sets that combine them, and the classifiers."""

    modalities: list[Modality] = Field(
        default=list(MODALITIES[:5]), description="Modalities to combine, if the data have them."
    )
    clinical_set: str | None = Field(
        default=None, description="Clinical set of the modality clinical; null: the first one."
    )
    feature_sets: Literal["auto"] | list[str] = Field(
        default="auto",
        description="auto: each single modality, each pair, all together, only volume, each single clinical set, and "
        "only anatomy if it is not among the modalities. Or a list such as [clinical+radiomics, volume, "
        '"clinical:staging", all].',
    )
    primary_feature_set: str = Field(default="all", description="Feature set of the primary model.")
    deep_score: DeepScore = Field(
        default="cross-fitted",
        description="Network that scores the training rows of the fusion (docs/methods.md). cross-fitted: the "
        "network that was trained without the row's fold and the test fold. in-sample: the network that was trained on "
        "the row, probably as in the paper. The fusion then overweights the deep score.",
    )
    network: NetworkSettings = NetworkSettings()
    logistic_penalties: Penalties = Field(
        default=[1.0, 4.0, 16.0, 64.0, 256.0],
        description="1/C of the reference logistic regression. It is chosen in the same way as the network's penalty.",
    )
    category_min_rows: int = Field(
        default=2, ge=1, description="A category in fewer training rows than this counts as unknown."
    )
    embedding_components: int = Field(
        default=16,
        ge=1,
        description="Number of principal components of the training rows' embeddings that the modality embedding "
        "consists of.",
    )
    recalibrate: bool = Field(
        default=True, description="Fit intercept and slope of the logits on inner out-of-fold predictions."
    )
    flag_single_column_auc: float = Field(
        default=0.95, gt=0.5, le=1, description="A single column with a higher AUC on the training rows is flagged."
    )


class SurvivalSettings(Settings):
    """Time to event with two causes, DM and death, for endpoints with a horizon and deaths: nonevent."""

    enabled: bool = Field(default=True, description="Fit the hazard models.")
    feature_sets: Literal["auto"] | list[str] = Field(
        default="auto",
        description="auto: the primary feature set, volume and each clinical set. Or a list as in fusion.feature_sets.",
    )
    intervals: int = Field(
        default=10,
        ge=1,
        description="Largest number of time intervals. They are cut at quantiles of the training rows' days of DM and "
        "at the horizon. There are fewer if DM is rare.",
    )
    groups: int = Field(
        default=3,
        ge=2,
        le=4,
        description="Number of risk groups. They are cut at quantiles of inner out-of-fold risks of the training rows.",
    )
    calibration_bins: int = Field(default=5, ge=2, description="Number of quantile bins of the calibration.")
    network: NetworkSettings = NetworkSettings()
