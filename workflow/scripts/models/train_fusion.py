"""Fit all feature sets of one outer fold."""

from metaswin.cohort.fits import outer_fits
from metaswin.cohort.folds import Place, number_of_folds
from metaswin.config.models import FusionSettings
from metaswin.core.joblog import job
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs, ThresholdRule, train_fusion

with job(snakemake.log[0]):
    fold = int(snakemake.wildcards.fold)
    train_fusion(
        folds=snakemake.input.folds,
        files=ModalityFiles.of(snakemake.input, outer_fits(fold, number_of_folds(snakemake.input.folds))),
        outputs=FoldOutputs(**snakemake.output),
        place=Place(snakemake.wildcards.endpoint, int(snakemake.wildcards.repeat), fold),
        sets=snakemake.params.sets,
        settings=FusionSettings(**snakemake.params.settings),
        rule=ThresholdRule(**snakemake.params.threshold),
        seed=snakemake.params.seed,
        using=snakemake.params.using,
    )
