"""Freeze the finished run."""

from metaswin.config.prediction import BundleSettings
from metaswin.core.joblog import job
from metaswin.prediction.freeze import freeze

with job(snakemake.log[0]):
    freeze(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        BundleSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.sets,
    )
