"""Write tumour, rings and organs of one patient as DICOM SEG and RTSTRUCT."""

from metaswin.core.joblog import job
from metaswin.imaging.export import export_patient

with job(snakemake.log[0]):
    export_patient(dict(snakemake.input.items()), dict(snakemake.output.items()))
