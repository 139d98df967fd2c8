"""Train the network of one fit."""

from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.joblog import job
from metaswin.models.compute import keep_freed_memory
from metaswin.models.train_network import train_network

with job(snakemake.log[0]):
    keep_freed_memory()
    train_network(
        patches=snakemake.input.patches,
        folds=snakemake.input.folds,
        network=snakemake.output.network,
        training=snakemake.output.training,
        scratch=snakemake.params.scratch,
        place={
            "endpoint": snakemake.wildcards.endpoint,
            "repeat": int(snakemake.wildcards.repeat),
            "fit": snakemake.wildcards.fit,
            "backbone": snakemake.wildcards.backbone,
        },
        settings=DeepSettings(**snakemake.params.settings),
        patch_settings=PatchesSettings(**snakemake.params.patches),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
        radiomics=snakemake.input.radiomics or None,
    )
