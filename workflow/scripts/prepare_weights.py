"""Verify TotalSegmentator's weights."""

from metaswin.joblog import job
from metaswin.organs.settings import TotalSegmentatorSettings
from metaswin.organs.weights import prepare_weights

with job(snakemake.log[0]):
    prepare_weights(snakemake.output.facts, TotalSegmentatorSettings(**snakemake.params.settings))
