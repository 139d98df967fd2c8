"""Join the features of all patients into one table."""

from metaswin.core.joblog import job
from metaswin.features.radiomics import collect_features

with job(snakemake.log[0]):
    collect_features(snakemake.input.tables, snakemake.input.used, snakemake.output.features)
