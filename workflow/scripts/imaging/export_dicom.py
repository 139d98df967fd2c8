"""Write one patient as DICOM SEG, RTSTRUCT and structured report."""

from metaswin.config.imaging import ExportSettings
from metaswin.core.joblog import job
from metaswin.imaging.export import ExportInputs, ExportOutputs, export_patient
from metaswin.imaging.patches import PatientFiles

with job(snakemake.log[0]):
    export_patient(
        ExportInputs(
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
            radiomics=snakemake.input.radiomics,
            predictions=snakemake.input.predictions or None,
            prediction_facts=snakemake.input.prediction_facts or None,
        ),
        ExportOutputs(**snakemake.output),
        snakemake.wildcards.patient,
        ExportSettings(**snakemake.params.settings),
    )
