"""Compute radiomics features with PyRadiomics' definitions on one set of filtered images per patient."""

from importlib import import_module

__all__ = ["extract_features"]


def __getattr__(name: str):
    # The function is imported lazily. Every module of this package runs this file, also the settings that Snakemake
    # reads at its start, and an ordinary import would load numba there. `import_module` is used because
    # metaswin.core.provenance also counts import statements inside functions: every script would then depend on the
    # whole engine.
    if name == "extract_features":
        return import_module(f"{__name__}.features").extract_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
