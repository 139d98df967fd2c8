"""Radiomics features with PyRadiomics' definitions on one set of filtered images a patient."""

from importlib import import_module

__all__ = ["extract_features"]


def __getattr__(name: str):
    # Lazy, since every module of this package runs this file, the settings that Snakemake reads at its start among
    # them: an ordinary import would load numba there. Nor is it an import statement in this function, since
    # metaswin.core.provenance counts those too: every script would then depend on the whole engine.
    if name == "extract_features":
        return import_module(f"{__name__}.features").extract_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
