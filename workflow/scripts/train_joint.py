"""Train backbone and fusion network of the headline arm as one, on one part of one fold."""

from metaswin.deep.compute import keep_freed_memory
from metaswin.deep.settings import DeepSettings
from metaswin.fusion.joint_job import train_joint
from metaswin.fusion.settings import FusionSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    keep_freed_memory()
    train_joint(
        inputs={name: path or None for name, path in snakemake.input.items()},
        outputs=dict(snakemake.output.items()),
        scratch=snakemake.params.scratch,
        place={key: snakemake.wildcards[key] for key in ("endpoint", "repeat", "fold", "backbone", "part")},
        sets=snakemake.params.sets,
        settings=FusionSettings(**snakemake.params.settings),
        deep_settings=DeepSettings(**snakemake.params.deep),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
    )
