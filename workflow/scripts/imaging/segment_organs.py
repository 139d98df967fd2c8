"""Label the organs and tissues of one patient."""

import SimpleITK as sitk

from metaswin.config.imaging import OrgansSettings
from metaswin.core.joblog import job
from metaswin.imaging.organs import segment_patient

with job(snakemake.log[0]):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(snakemake.threads)
    segment_patient(
        ct=snakemake.input.ct,
        tumor=snakemake.input.tumor,
        upstream=snakemake.input.status,
        organs=snakemake.output.organs,
        names=snakemake.output.names,
        status=snakemake.output.status,
        settings=OrgansSettings(**snakemake.params.settings),
        details=snakemake.params.details,
        source=snakemake.input.source or None,
        batch=snakemake.input.batch or None,
        store=snakemake.params.store,
    )
