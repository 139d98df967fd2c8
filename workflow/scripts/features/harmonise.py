"""Fit ComBat in every fit of a repeat."""

from metaswin.config.features import HarmonisationSettings
from metaswin.core.joblog import job
from metaswin.features.harmonisation import HarmonisationInputs, HarmonisationOutputs, harmonise

with job(snakemake.log[0]):
    harmonise(
        HarmonisationInputs(**snakemake.input),
        HarmonisationOutputs(**snakemake.output),
        int(snakemake.wildcards.repeat),
        HarmonisationSettings(**snakemake.params.settings),
    )
