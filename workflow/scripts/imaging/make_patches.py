"""Cut one patient's patch around the tumour."""

from metaswin.config.imaging import PatchesSettings
from metaswin.core.joblog import job
from metaswin.imaging.patches import PatientFiles, make_patch

with job(snakemake.log[0]):
    make_patch(
        files=PatientFiles(
            ct=snakemake.input.ct,
            tumor=snakemake.input.tumor,
            organs=snakemake.input.organs,
            organ_facts=snakemake.input.organ_facts,
            regions=snakemake.input.regions,
            region_facts=snakemake.input.region_facts,
            status=snakemake.input.status,
        ),
        patch=snakemake.output.patch,
        status=snakemake.output.status,
        settings=PatchesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
        threads=snakemake.threads,
    )
