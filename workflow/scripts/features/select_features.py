"""Select the radiomics features in every fit of a repeat, and write what each fit sees."""

from metaswin.cohort.fits import all_fits
from metaswin.cohort.folds import number_of_folds
from metaswin.config.features import SelectionSettings
from metaswin.core.joblog import job
from metaswin.features.fit_tables import SelectionInputs, select_features
from metaswin.features.matrix import table_paths

with job(snakemake.log[0]):
    select_features(
        # An input is an empty list where nothing is harmonised or no mask is perturbed.
        SelectionInputs(**{name: path or None for name, path in snakemake.input.items()}),
        selection=snakemake.output.selection,
        volume=snakemake.output.volume,
        tables=table_paths(snakemake.output.tables, all_fits(number_of_folds(snakemake.input.folds))),
        endpoint=snakemake.wildcards.endpoint,
        repeat=int(snakemake.wildcards.repeat),
        settings=SelectionSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
        leaky=snakemake.wildcards.variant == "leaky",
    )
