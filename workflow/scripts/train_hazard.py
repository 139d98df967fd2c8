"""Fit the hazard head of every arm of one fold."""

from metaswin.fusion.settings import FusionSettings
from metaswin.joblog import job
from metaswin.survival.fold import train_hazard
from metaswin.survival.settings import SurvivalSettings

with job(snakemake.log[0]):
    train_hazard(
        # An input the data source does not have is an empty list.
        inputs={name: path or None for name, path in snakemake.input.items()},
        outputs=dict(snakemake.output.items()),
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        horizon=snakemake.params.horizon,
        sets=snakemake.params.sets,
        settings=SurvivalSettings(**snakemake.params.settings),
        fusion=FusionSettings(**snakemake.params.fusion),
        seed=snakemake.params.seed,
    )
