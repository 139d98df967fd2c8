"""List the used patients and write the tables that later stages read."""

from metaswin.cohort.used import UsedInputs, UsedOutputs, close_cohort
from metaswin.config.cohort import EndpointSettings
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    close_cohort(
        UsedInputs(**snakemake.input),
        UsedOutputs(**snakemake.output),
        {name: EndpointSettings(**endpoint) for name, endpoint in snakemake.params.endpoints.items()},
    )
