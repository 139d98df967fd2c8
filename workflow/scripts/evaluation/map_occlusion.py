"""Draw occlusion maps of the patients with the highest risks and the most wrong predictions."""

from metaswin.config.evaluation import ExplanationSettings
from metaswin.config.models import DeepSettings
from metaswin.core.joblog import job
from metaswin.evaluation.occlusion import OcclusionInputs, map_occlusion
from metaswin.models.compute import keep_freed_memory

with job(snakemake.log[0]):
    keep_freed_memory()
    map_occlusion(
        OcclusionInputs(**snakemake.input),
        snakemake.output.facts,
        snakemake.output.maps,
        ExplanationSettings(**snakemake.params.settings),
        DeepSettings(**snakemake.params.deep),
    )
