"""The base of every settings class; each stage keeps its own in ``metaswin.<stage>.settings``."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one stage: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
