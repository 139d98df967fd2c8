"""Compare the AUC on rows a model was fitted on with that on others."""

from metaswin.core.joblog import job
from metaswin.evaluation.optimism import measure_optimism

with job(snakemake.log[0]):
    measure_optimism(dict(snakemake.input.items()), snakemake.output.optimism, snakemake.params.backbone)
