"""Verify TotalSegmentator's weights."""

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.core.joblog import job
from metaswin.imaging.weights import prepare_weights

with job(snakemake.log[0]):
    prepare_weights(snakemake.output.facts, TotalSegmentatorSettings(**snakemake.params.settings))
