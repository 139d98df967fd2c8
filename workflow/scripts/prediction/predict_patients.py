"""Predict the new patients with every member of the bundle."""

from metaswin.config.models import DeepSettings
from metaswin.config.prediction import PredictSettings
from metaswin.core.joblog import job
from metaswin.prediction.patients import PredictionInputs, PredictionOutputs, predict_patients

with job(snakemake.log[0]):
    predict_patients(
        PredictionInputs(
            used=snakemake.input.used,
            clinical=snakemake.input.clinical,
            exclusions=snakemake.input.exclusions,
            features=snakemake.input.features or None,
            problems=snakemake.input.problems,
            anatomy=snakemake.input.anatomy or None,
            embedding=snakemake.input.embedding or None,
            patches=snakemake.input.patches or None,
            images=snakemake.input.images,
            qc_images=snakemake.input.qc_images,
        ),
        PredictionOutputs(**snakemake.output),
        PredictSettings(**snakemake.params.settings),
        DeepSettings(**snakemake.params.deep),
        snakemake.params.pseudonyms,
    )
