"""Draw one patient's CT with contours in three planes and flag odd masks."""

import SimpleITK as sitk

from metaswin.config.imaging import PicturesSettings
from metaswin.core.joblog import job
from metaswin.imaging.patches import PatientFiles
from metaswin.imaging.qc_image import picture_patient

with job(snakemake.log[0]):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(snakemake.threads)
    picture_patient(
        files=PatientFiles(**snakemake.input),
        picture=snakemake.output.picture,
        status=snakemake.output.status,
        settings=PicturesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
    )
