"""Shapley values of the headline arm in one outer fold."""

from metaswin.explanation.fold import ExplanationInputs, explain_fold
from metaswin.explanation.settings import ExplanationSettings
from metaswin.folds.fits import fit_name
from metaswin.fusion.modalities import SourceFiles
from metaswin.joblog import job

with job(snakemake.log[0]):
    explain_fold(
        ExplanationInputs(**{name: snakemake.input[name] for name in ("folds", "predictions", "fits", "models")}),
        SourceFiles.of(snakemake.input, [fit_name(int(snakemake.wildcards.fold))]),
        modalities=snakemake.output.modalities,
        features=snakemake.output.features,
        sets=snakemake.params.sets,
        settings=ExplanationSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
