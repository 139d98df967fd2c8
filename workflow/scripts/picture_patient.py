"""Draw one patient's CT with contours in three planes and flag odd masks."""

import SimpleITK as sitk

from metaswin.joblog import job
from metaswin.pictures.make import picture_patient
from metaswin.pictures.settings import PicturesSettings

with job(snakemake.log[0]):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(snakemake.threads)
    picture_patient(
        inputs=dict(snakemake.input.items()),
        outputs=dict(snakemake.output.items()),
        settings=PicturesSettings(**snakemake.params.settings),
        details=snakemake.params.details,
    )
