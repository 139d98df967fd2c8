"""Join the problems of radiomics, patches and signatures into one table."""

from metaswin.core.joblog import job
from metaswin.features.radiomics import collect_problems

with job(snakemake.log[0]):
    statuses = [*snakemake.input.radiomics, *snakemake.input.patches, *snakemake.input.signatures]
    collect_problems(statuses, snakemake.input.used, snakemake.output.problems)
