"""Predict the new patients by every member of the bundle."""

from metaswin.config.models import DeepSettings
from metaswin.config.prediction import PredictSettings
from metaswin.core.joblog import job
from metaswin.prediction.patients import predict_patients

with job(snakemake.log[0]):
    predict_patients(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        PredictSettings(**snakemake.params.settings),
        DeepSettings(**snakemake.params.deep),
        snakemake.params.pseudonyms,
    )
