"""Write tumour, rings and organs of one patient as DICOM SEG and RTSTRUCT."""

from metaswin.core.joblog import job
from metaswin.imaging.export import export_patient
from metaswin.imaging.patches import PatientFiles

with job(snakemake.log[0]):
    export_patient(
        source=snakemake.input.source,
        files=PatientFiles(
            ct=snakemake.input.ct,
            tumor=snakemake.input.tumor,
            organs=snakemake.input.organs,
            organ_facts=snakemake.input.organ_facts,
            regions=snakemake.input.regions,
            region_facts=snakemake.input.region_facts,
            status=snakemake.input.status,
        ),
        seg=snakemake.output.seg,
        rtstruct=snakemake.output.rtstruct,
    )
