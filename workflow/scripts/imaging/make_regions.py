"""Resample one patient once and draw lesions and rings."""

import SimpleITK as sitk

from metaswin.config.imaging import RegionsSettings
from metaswin.core.joblog import job
from metaswin.imaging.regions import regions_of_patient

with job(snakemake.log[0]):
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(snakemake.threads)
    regions_of_patient(
        ct=snakemake.input.ct,
        tumor=snakemake.input.tumor,
        organs=snakemake.input.organs,
        names=snakemake.input.names,
        upstream=snakemake.input.status,
        cropped=snakemake.output.ct,
        regions=snakemake.output.regions,
        facts=snakemake.output.facts,
        status=snakemake.output.status,
        settings=RegionsSettings(**snakemake.params.settings),
        details=snakemake.params.details,
    )
