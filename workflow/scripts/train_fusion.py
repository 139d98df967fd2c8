"""Fit all arms of one outer fold."""

from metaswin.folds.fits import outer_fits
from metaswin.folds.rows import Place
from metaswin.fusion.fit import ThresholdRule
from metaswin.fusion.fold import FusionOutputs, train_fusion
from metaswin.fusion.modalities import SourceFiles
from metaswin.fusion.settings import FusionSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    fold = int(snakemake.wildcards.fold)
    train_fusion(
        folds=snakemake.input.folds,
        files=SourceFiles.of(snakemake.input, outer_fits(fold, snakemake.params.k)),
        outputs=FusionOutputs(**snakemake.output),
        place=Place(snakemake.wildcards.endpoint, int(snakemake.wildcards.repeat), fold),
        sets=snakemake.params.sets,
        settings=FusionSettings(**snakemake.params.settings),
        rule=ThresholdRule(**snakemake.params.threshold),
        seed=snakemake.params.seed,
        using=snakemake.params.using,
    )
