"""Define the base class of all settings; `metaswin.config` has one module of settings classes for each chapter."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings of one stage: unknown keys are errors, and values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Field(description="Snakemake counts GPUs (--resources gpu=n) with cuda only."),
]
