"""End the run where a stage of the images has excluded anyone (qc.on_problem: stop)."""

from metaswin.cohort.used import check_images
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    check_images(snakemake.input.statuses)
