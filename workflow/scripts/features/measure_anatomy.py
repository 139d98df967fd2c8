"""Measure the organs of one patient and how the tumour lies to them."""

from metaswin.config.features import AnatomySettings
from metaswin.core.joblog import job
from metaswin.features.anatomy import AnatomyInputs, measure_patient

with job(snakemake.log[0]):
    measure_patient(
        AnatomyInputs(**snakemake.input), snakemake.output.table, AnatomySettings(**snakemake.params.settings)
    )
