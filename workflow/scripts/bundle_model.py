"""Freeze the finished run."""

from metaswin.bundle.freeze import freeze
from metaswin.bundle.settings import BundleSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    freeze(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        BundleSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.sets,
    )
