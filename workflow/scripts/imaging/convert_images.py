"""Convert one patient's CT and contours to NIfTI."""

from metaswin.config.imaging import ImagesSettings
from metaswin.core.joblog import job
from metaswin.imaging.convert import convert_patient

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
