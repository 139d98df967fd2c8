"""Write tumour, rings and organs of one patient as DICOM SEG and RTSTRUCT."""

from metaswin.export.patient import export_patient
from metaswin.joblog import job

with job(snakemake.log[0]):
    export_patient(dict(snakemake.input.items()), dict(snakemake.output.items()))
