"""Train the network of one part of one fold."""

from metaswin.deep.compute import keep_freed_memory
from metaswin.deep.settings import DeepSettings
from metaswin.deep.train_job import train_part
from metaswin.joblog import job
from metaswin.patches.settings import PatchesSettings

with job(snakemake.log[0]):
    keep_freed_memory()
    train_part(
        patches=snakemake.input.patches,
        folds=snakemake.input.folds,
        outputs={"network": snakemake.output.network, "training": snakemake.output.training},
        scratch=snakemake.params.scratch,
        place={key: snakemake.wildcards[key] for key in ("endpoint", "repeat", "fold", "backbone", "part")},
        settings=DeepSettings(**snakemake.params.settings),
        patch_settings=PatchesSettings(**snakemake.params.patches),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
    )
