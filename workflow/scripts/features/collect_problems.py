"""Join the problems of radiomics and patches into one table."""

from metaswin.core.joblog import job
from metaswin.features.radiomics import collect_problems

with job(snakemake.log[0]):
    collect_problems(
        [*snakemake.input.radiomics, *snakemake.input.patches], snakemake.input.used, snakemake.output.problems
    )
