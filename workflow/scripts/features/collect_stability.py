"""Join the features of perturbed masks into one table."""

from metaswin.core.joblog import job
from metaswin.features.perturbation_table import collect_stability

with job(snakemake.log[0]):
    collect_stability(snakemake.input.tables, snakemake.input.used, snakemake.output.features, snakemake.output.facts)
