"""Compute Shapley values of the primary feature set in one outer fold."""

from metaswin.cohort.fits import fit_name
from metaswin.config.evaluation import ExplanationSettings
from metaswin.core.joblog import job
from metaswin.evaluation.explanation import ExplanationInputs, explain_fold
from metaswin.features.modalities import ModalityFiles

with job(snakemake.log[0]):
    explain_fold(
        ExplanationInputs(**{name: snakemake.input[name] for name in ("folds", "predictions", "fits", "models")}),
        ModalityFiles.of(snakemake.input, [fit_name(int(snakemake.wildcards.fold))]),
        modalities=snakemake.output.modalities,
        features=snakemake.output.features,
        sets=snakemake.params.sets,
        settings=ExplanationSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
