"""Evaluate the hazard models of all endpoints that have one."""

from metaswin.config.models import SurvivalSettings
from metaswin.core.joblog import job
from metaswin.evaluation.survival import SurvivalInputs, SurvivalOutputs, evaluate_survival

with job(snakemake.log[0]):
    evaluate_survival(
        SurvivalInputs(**snakemake.input),
        SurvivalOutputs(**snakemake.output),
        SurvivalSettings(**snakemake.params.settings),
        snakemake.params.confidence,
    )
