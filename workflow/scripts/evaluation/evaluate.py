"""Evaluate every arm of every endpoint from the folds' test predictions."""

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.joblog import job
from metaswin.evaluation.evaluate import evaluate

with job(snakemake.log[0]):
    evaluate(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        EvaluationSettings(**snakemake.params.settings),
        snakemake.params.sets,
        snakemake.params.seed,
    )
