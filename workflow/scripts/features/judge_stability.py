"""Judge which features are stable, in every fit of a repeat."""

from metaswin.config.features import StabilitySettings
from metaswin.core.joblog import job
from metaswin.features.stability import judge_stability

with job(snakemake.log[0]):
    judge_stability(
        perturbed=snakemake.input.perturbed,
        folds=snakemake.input.folds,
        output=snakemake.output.stability,
        endpoint=snakemake.wildcards.endpoint,
        repeat=int(snakemake.wildcards.repeat),
        settings=StabilitySettings(**snakemake.params.settings),
    )
