"""Stop the run if an image stage has excluded a patient (qc.on_problem: stop)."""

from metaswin.cohort.used import check_images
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    check_images(snakemake.input.statuses)
