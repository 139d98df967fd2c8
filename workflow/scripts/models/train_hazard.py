"""Fit the hazard model of every feature set of one outer fold."""

from metaswin.cohort.fits import outer_fits
from metaswin.cohort.folds import Place, number_of_folds
from metaswin.config.models import FusionSettings, SurvivalSettings
from metaswin.core.joblog import job
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs
from metaswin.models.hazard import train_hazard

with job(snakemake.log[0]):
    fold = int(snakemake.wildcards.fold)
    train_hazard(
        folds=snakemake.input.folds,
        files=ModalityFiles.of(snakemake.input, outer_fits(fold, number_of_folds(snakemake.input.folds))),
        outputs=FoldOutputs(**snakemake.output),
        place=Place(snakemake.wildcards.endpoint, int(snakemake.wildcards.repeat), fold),
        horizon=snakemake.params.horizon,
        sets=snakemake.params.sets,
        settings=SurvivalSettings(**snakemake.params.settings),
        fusion=FusionSettings(**snakemake.params.fusion),
        seed=snakemake.params.seed,
    )
