"""Settings of the deep networks."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings


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
