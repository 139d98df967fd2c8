"""Join the patches of the used patients into one file."""

from metaswin.core.joblog import job
from metaswin.imaging.patch_file import collect_patches

with job(snakemake.log[0]):
    collect_patches(snakemake.input.patches, snakemake.input.used, snakemake.output.patches)
