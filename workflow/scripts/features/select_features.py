"""Select the radiomics features in every fit of a repeat, and write what each fit sees."""

from itertools import product

from metaswin.config.features import RADIOMICS, SelectionSettings
from metaswin.core.joblog import job
from metaswin.features.fit_tables import SelectionInputs, select_features

with job(snakemake.log[0]):
    select_features(
        # An input is an empty list where nothing is harmonised or no mask is perturbed.
        SelectionInputs(**{name: path or None for name, path in snakemake.input.items()}),
        selection=snakemake.output.selection,
        volume=snakemake.output.volume,
        tables=dict(zip(product(snakemake.params.fits, RADIOMICS), snakemake.output.tables, strict=True)),
        endpoint=snakemake.wildcards.endpoint,
        repeat=int(snakemake.wildcards.repeat),
        settings=SelectionSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
        leaky=snakemake.wildcards.variant == "leaky",
    )
