"""Join the features of perturbed masks into one table."""

from metaswin.joblog import job
from metaswin.stability.collect import collect_stability

with job(snakemake.log[0]):
    collect_stability(snakemake.input.tables, snakemake.input.used, snakemake.output.features, snakemake.output.facts)
