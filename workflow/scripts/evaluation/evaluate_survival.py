"""Evaluate the hazard head of every endpoint that has one."""

from metaswin.config.models import SurvivalSettings
from metaswin.core.joblog import job
from metaswin.evaluation.survival import evaluate_survival

with job(snakemake.log[0]):
    evaluate_survival(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        SurvivalSettings(**snakemake.params.settings),
        snakemake.params.confidence,
    )
