"""Test whether batch, scanner and site go with the outcome."""

from metaswin.harmonisation.site import associate_site
from metaswin.joblog import job

with job(snakemake.log[0]):
    associate_site(
        inputs=dict(snakemake.input.items()),
        output=snakemake.output.site,
        columns=snakemake.params.columns,
        seed=snakemake.params.seed,
    )
