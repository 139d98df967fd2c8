"""Predict the new patients by every member of the bundle."""

from metaswin.deep.settings import DeepSettings
from metaswin.joblog import job
from metaswin.predict.patients import predict_patients
from metaswin.predict.settings import PredictSettings

with job(snakemake.log[0]):
    predict_patients(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        PredictSettings(**snakemake.params.settings),
        DeepSettings(**snakemake.params.deep),
        snakemake.params.pseudonyms,
    )
