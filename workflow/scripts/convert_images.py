"""Convert one patient's CT and contours to NIfTI."""

from metaswin.images.convert import convert_patient
from metaswin.images.settings import ImagesSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    convert_patient(
        source=snakemake.input.source,
        ct=snakemake.output.ct,
        tumor=snakemake.output.tumor,
        facts=snakemake.output.facts,
        status=snakemake.output.status,
        settings=ImagesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
        threads=snakemake.threads,
    )
