"""Decide who goes on and write what later stages read of them."""

from metaswin.clinical.settings import ClinicalSettings, EndpointSettings
from metaswin.cohort.close import close_cohort
from metaswin.ingest.pseudonyms import read_pseudonyms
from metaswin.joblog import job
from metaswin.qc.settings import QcSettings

with job(snakemake.log[0]):
    close_cohort(
        {
            name: snakemake.input.get(name, [])
            for name in ("patients", "problems", "clinical", "statuses", "regions", "images")
        },
        dict(snakemake.output.items()),
        ClinicalSettings(**snakemake.params.clinical),
        {name: EndpointSettings(**endpoint) for name, endpoint in snakemake.params.endpoints.items()},
        QcSettings(**snakemake.params.qc),
        read_pseudonyms(snakemake.params.pseudonyms).of,
    )
