"""Cut one patient's patch around the tumour."""

from metaswin.config.imaging import PatchesSettings
from metaswin.core.joblog import job
from metaswin.imaging.patches import make_patch

INPUTS = ("ct", "tumor", "organs", "organ_facts", "regions", "region_facts", "status")

with job(snakemake.log[0]):
    make_patch(
        inputs={key: snakemake.input[key] for key in INPUTS},
        outputs={"patch": snakemake.output.patch, "status": snakemake.output.status},
        settings=PatchesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
        threads=snakemake.threads,
    )
