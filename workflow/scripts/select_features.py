"""Select the radiomics features of one fold, for each part of its training rows."""

from metaswin.joblog import job
from metaswin.selection.fold import select_fold
from metaswin.selection.settings import SelectionSettings

HARMONISATION = ("harmonisation", "harmonisation_values", "used", "clinical")

with job(snakemake.log[0]):
    select_fold(
        features=snakemake.input.features,
        folds=snakemake.input.folds,
        output=snakemake.output.selection,
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        settings=SelectionSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
        # An input is an empty list where nothing is harmonised.
        harmonisation={name: snakemake.input[name] or None for name in HARMONISATION},
    )
