"""Index the DICOM folder from headers only."""

from metaswin.cohort.index import index_dicom
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    index_dicom(
        folder=snakemake.params.folder,
        series=snakemake.output.series,
        private_series=snakemake.output.private_series,
        problems=snakemake.output.problems,
        details=snakemake.params.details,
        cache=snakemake.params.cache,
        patient_id=snakemake.params.patient_id,
        patient_folder_level=snakemake.params.patient_folder_level,
        workers=snakemake.threads,
        pseudonyms=snakemake.params.pseudonyms,
    )
