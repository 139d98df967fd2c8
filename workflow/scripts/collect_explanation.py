"""Join the explanations of an endpoint's folds."""

from metaswin.explanation.collect import collect_explanation
from metaswin.joblog import job

with job(snakemake.log[0]):
    collect_explanation(snakemake.input.modalities, snakemake.input.features, dict(snakemake.output.items()))
