"""Draw one patient's CT with contours in three planes and flag unusual masks."""

import SimpleITK as sitk

from metaswin.config.imaging import QcImagesSettings
from metaswin.core.joblog import job
from metaswin.imaging.patches import PatientFiles
from metaswin.imaging.qc_image import draw_qc_image

with job(snakemake.log[0]):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(snakemake.threads)
    draw_qc_image(
        files=PatientFiles(**snakemake.input),
        qc_image=snakemake.output.qc_image,
        status=snakemake.output.status,
        settings=QcImagesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
    )
