"""List the used patients and write what later stages read of them."""

from metaswin.cohort.used import close_cohort
from metaswin.config.cohort import EndpointSettings
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    close_cohort(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        {name: EndpointSettings(**endpoint) for name, endpoint in snakemake.params.endpoints.items()},
    )
