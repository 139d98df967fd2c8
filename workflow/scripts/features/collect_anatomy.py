"""Join the anatomy tables of all patients."""

from metaswin.core.joblog import job
from metaswin.features.anatomy import collect

with job(snakemake.log[0]):
    collect(snakemake.input.tables, snakemake.input.used, snakemake.output.features)
