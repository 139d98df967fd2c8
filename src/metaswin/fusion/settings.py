"""Settings of fusion."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings

MODALITIES = ("clinical", "radiomics", "peri_radiomics", "deep")


class NetworkSettings(Settings):
    """The fully connected fusion network: one encoder a modality, joined, one hidden layer, one logit."""

    encoder_width: int = Field(default=8, ge=1)
    hidden_width: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    weight_decay: float = Field(default=0.05, ge=0)
    learning_rate: float = Field(default=3e-3, gt=0)
    epochs: int = Field(default=150, ge=1)
    batch_size: int = Field(default=64, ge=1)
    ensemble: int = Field(default=3, ge=1, description="networks with different seeds, their logits averaged")


class FusionSettings(Settings):
    """Modalities and arms.

    `clinical_set` is the named clinical set that the `clinical` modality uses. `arms: auto` makes each modality
    alone, each pair, all together, volume alone and each clinical set alone; otherwise a list of arms such as
    ``clinical+radiomics``, ``volume``, ``clinical:staging``.
    """

    modalities: list[Literal["clinical", "radiomics", "peri_radiomics", "deep"]] = list(MODALITIES)
    clinical_set: str | None = None
    arms: Literal["auto"] | list[str] = "auto"
    headline_arm: str = "all"
    network: NetworkSettings = NetworkSettings()
    logistic_penalty: float = Field(default=1.0, gt=0, description="C of the reference logistic regression")
    flag_single_column_auc: float = Field(default=0.95, gt=0.5, le=1)
