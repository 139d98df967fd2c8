"""Test whether batch, scanner and site go with the outcome."""

from metaswin.core.joblog import job
from metaswin.features.site import SiteInputs, associate_site

with job(snakemake.log[0]):
    associate_site(
        inputs=SiteInputs(**snakemake.input),
        output=snakemake.output.site,
        columns=snakemake.params.columns,
        seed=snakemake.params.seed,
    )
