"""Judge which features of one fold are stable, for each part of its training rows."""

from metaswin.joblog import job
from metaswin.stability.fold import stability_of_fold
from metaswin.stability.settings import StabilitySettings

with job(snakemake.log[0]):
    stability_of_fold(
        perturbed=snakemake.input.perturbed,
        folds=snakemake.input.folds,
        output=snakemake.output.stability,
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        settings=StabilitySettings(**snakemake.params.settings),
    )
