"""Measure the organs of one patient and how the tumour lies to them."""

from metaswin.anatomy.measure import measure_patient
from metaswin.anatomy.settings import AnatomySettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    measure_patient(dict(snakemake.input.items()), snakemake.output.table, AnatomySettings(**snakemake.params.settings))
