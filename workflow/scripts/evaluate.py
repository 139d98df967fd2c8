"""Evaluate every arm of every endpoint from the folds' test predictions."""

from metaswin.evaluation.evaluate import evaluate
from metaswin.evaluation.settings import EvaluationSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    evaluate(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        EvaluationSettings(**snakemake.params.settings),
        snakemake.params.sets,
        snakemake.params.seed,
    )
