"""Join the explanations of the folds of an endpoint."""

from metaswin.core.joblog import job
from metaswin.evaluation.explanation import ExplanationOutputs, collect_explanation

with job(snakemake.log[0]):
    collect_explanation(snakemake.input.modalities, snakemake.input.features, ExplanationOutputs(**snakemake.output))
