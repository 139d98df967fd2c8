"""Compute the embedding of every patient."""

from metaswin.config.features import EmbeddingSettings
from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.joblog import job
from metaswin.models.embedding import EmbeddingInputs, extract_embedding

with job(snakemake.log[0]):
    extract_embedding(
        EmbeddingInputs(
            model=snakemake.input.model,
            used=snakemake.input.used,
            ct=snakemake.input.ct,
            tumor=snakemake.input.tumor,
            patches=snakemake.input.patches or None,
        ),
        snakemake.output.embedding,
        EmbeddingSettings(**snakemake.params.settings),
        PatchesSettings(**snakemake.params.patches),
        DeepSettings(**snakemake.params.deep),
    )
