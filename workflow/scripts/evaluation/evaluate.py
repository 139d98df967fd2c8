"""Evaluate every feature set of every endpoint from the test predictions of the folds."""

from metaswin.config.evaluation import EvaluationSettings
from metaswin.config.signatures import Signature
from metaswin.core.joblog import job
from metaswin.evaluation.evaluate import EvaluationInputs, EvaluationOutputs, evaluate

with job(snakemake.log[0]):
    evaluate(
        EvaluationInputs(**snakemake.input),
        EvaluationOutputs(**snakemake.output),
        EvaluationSettings(**snakemake.params.settings),
        snakemake.params.sets,
        snakemake.params.seed,
        {name: Signature(**settings) for name, settings in snakemake.params.signatures.items()},
    )
