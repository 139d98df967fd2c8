"""Train the network of one fit."""

from metaswin.deep.compute import keep_freed_memory
from metaswin.deep.settings import DeepSettings
from metaswin.deep.train_job import train_network
from metaswin.joblog import job
from metaswin.patches.settings import PatchesSettings

with job(snakemake.log[0]):
    keep_freed_memory()
    train_network(
        patches=snakemake.input.patches,
        folds=snakemake.input.folds,
        outputs={"network": snakemake.output.network, "training": snakemake.output.training},
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
    )
