"""Fit ComBat in every fit of a repeat."""

from metaswin.harmonisation.fits import HarmonisationInputs, HarmonisationOutputs, harmonise
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    harmonise(
        HarmonisationInputs(**snakemake.input),
        HarmonisationOutputs(**snakemake.output),
        int(snakemake.wildcards.repeat),
        HarmonisationSettings(**snakemake.params.settings),
    )
