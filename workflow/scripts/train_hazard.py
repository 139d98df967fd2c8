"""Fit the hazard head of every arm of one outer fold."""

from metaswin.folds.fits import outer_fits
from metaswin.folds.rows import Place
from metaswin.fusion.modalities import SourceFiles
from metaswin.fusion.settings import FusionSettings
from metaswin.joblog import job
from metaswin.survival.fold import HazardOutputs, train_hazard
from metaswin.survival.settings import SurvivalSettings

with job(snakemake.log[0]):
    fold = int(snakemake.wildcards.fold)
    train_hazard(
        folds=snakemake.input.folds,
        files=SourceFiles.of(snakemake.input, outer_fits(fold, snakemake.params.k)),
        outputs=HazardOutputs(**snakemake.output),
        place=Place(snakemake.wildcards.endpoint, int(snakemake.wildcards.repeat), fold),
        horizon=snakemake.params.horizon,
        sets=snakemake.params.sets,
        settings=SurvivalSettings(**snakemake.params.settings),
        fusion=FusionSettings(**snakemake.params.fusion),
        seed=snakemake.params.seed,
    )
