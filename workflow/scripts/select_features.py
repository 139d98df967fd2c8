"""Select the radiomics features of one fold, for each part of its training rows."""

from metaswin.controls.leaky import leaky_parts
from metaswin.joblog import job
from metaswin.selection.fold import select_fold, training_parts
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
        # An input is an empty list where nothing is harmonised or no mask perturbed.
        harmonisation={name: snakemake.input[name] or None for name in HARMONISATION},
        parts_of=leaky_parts if snakemake.wildcards.variant == "leaky" else training_parts,
        stability=snakemake.input.stability or None,
    )
