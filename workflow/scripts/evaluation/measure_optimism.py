"""Compare the AUC of a model on its training rows with that on other rows."""

from metaswin.core.joblog import job
from metaswin.evaluation.optimism import OptimismInputs, measure_optimism

with job(snakemake.log[0]):
    measure_optimism(OptimismInputs(**snakemake.input), snakemake.output.optimism, snakemake.params.backbone)
