"""Fit the harmonisation of one fold, for each part of its training rows."""

from metaswin.harmonisation.fold import harmonise_fold
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    harmonise_fold(
        inputs=dict(snakemake.input.items()),
        outputs=dict(snakemake.output.items()),
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        settings=HarmonisationSettings(**snakemake.params.settings),
    )
