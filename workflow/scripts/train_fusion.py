"""Fit all arms of one fold."""

from metaswin.fusion.fit import ThresholdRule
from metaswin.fusion.fold import train_fusion
from metaswin.fusion.settings import FusionSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    train_fusion(
        # An input the data source does not have is an empty list.
        inputs={name: path or None for name, path in snakemake.input.items()},
        outputs=dict(snakemake.output.items()),
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        sets=snakemake.params.sets,
        settings=FusionSettings(**snakemake.params.settings),
        rule=ThresholdRule(**snakemake.params.threshold),
        seed=snakemake.params.seed,
        using=snakemake.params.using,
    )
