"""Occlusion maps of the patients of the highest risk and of the most wrong predictions."""

from metaswin.deep.compute import keep_freed_memory
from metaswin.deep.settings import DeepSettings
from metaswin.explanation.maps import map_occlusion
from metaswin.explanation.settings import ExplanationSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    keep_freed_memory()
    map_occlusion(
        dict(snakemake.input.items()),
        snakemake.output.facts,
        snakemake.output.maps,
        ExplanationSettings(**snakemake.params.settings),
        DeepSettings(**snakemake.params.deep),
    )
