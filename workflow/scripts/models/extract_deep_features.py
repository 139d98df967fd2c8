"""Score and describe every patient of an outer fold by its networks."""

from metaswin.cohort.fits import fit_name, outer_fits
from metaswin.cohort.folds import number_of_folds
from metaswin.config.models import DeepSettings
from metaswin.core.joblog import job
from metaswin.models.compute import keep_freed_memory
from metaswin.models.deep_features import extract_features

with job(snakemake.log[0]):
    keep_freed_memory()
    fold = int(snakemake.wildcards.fold)
    fits = outer_fits(fold, number_of_folds(snakemake.input.folds))
    fits = fits if snakemake.params.mode != "in-sample" else [fit_name(fold)]
    extract_features(
        patches=snakemake.input.patches,
        folds=snakemake.input.folds,
        networks=dict(zip(fits, snakemake.input.networks, strict=True)),
        output=snakemake.output.features,
        repeat=int(snakemake.wildcards.repeat),
        fold=fold,
        settings=DeepSettings(**snakemake.params.settings),
        mode=snakemake.params.mode,
    )
