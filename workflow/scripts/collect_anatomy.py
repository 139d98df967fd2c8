"""Join the anatomy tables of all patients."""

from metaswin.anatomy.measure import collect
from metaswin.joblog import job

with job(snakemake.log[0]):
    collect(snakemake.input.tables, snakemake.input.used, snakemake.output.features)
