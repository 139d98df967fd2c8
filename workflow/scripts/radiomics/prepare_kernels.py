"""Compile the kernels of radiomics."""

from metaswin.core.joblog import job
from metaswin.radiomics.kernels import prepare_kernels

with job(snakemake.log[0]):
    prepare_kernels(snakemake.output.facts)
