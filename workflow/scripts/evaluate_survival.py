"""Evaluate the hazard head of every endpoint that has one."""

from metaswin.joblog import job
from metaswin.survival.evaluate import evaluate_survival
from metaswin.survival.settings import SurvivalSettings

with job(snakemake.log[0]):
    evaluate_survival(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        SurvivalSettings(**snakemake.params.settings),
        snakemake.params.confidence,
    )
