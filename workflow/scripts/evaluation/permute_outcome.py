"""Refit the feature sets on some permutations of the outcome."""

from metaswin.config.cohort import FoldsSettings
from metaswin.config.evaluation import PermutationSettings
from metaswin.config.features import HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import FusionSettings
from metaswin.core.joblog import job
from metaswin.evaluation.permutation import PermutationInputs, Refitting, permute_batch

with job(snakemake.log[0]):
    permute_batch(
        inputs=PermutationInputs(
            folds=snakemake.input.folds,
            facts=snakemake.input.facts,
            clinical=snakemake.input.clinical,
            used=snakemake.input.used,
            features=snakemake.input.features or None,
            anatomy=snakemake.input.anatomy or None,
            embedding=snakemake.input.embedding or None,
            perturbed=snakemake.input.perturbed or None,
            deep=snakemake.input.deep,
            deep_permuted=snakemake.input.deep_permuted,
        ),
        output=snakemake.output.permutations,
        endpoint=snakemake.wildcards.endpoint,
        sets=snakemake.params.sets,
        permutations=snakemake.params.permutations,
        settings=Refitting(
            folds=FoldsSettings(**snakemake.params.folds),
            harmonisation=HarmonisationSettings(**snakemake.params.harmonisation),
            selection=SelectionSettings(**snakemake.params.selection),
            fusion=FusionSettings(**snakemake.params.fusion),
            permutation=PermutationSettings(**snakemake.params.permutation),
            seed=snakemake.params.seed,
            primary_classifier=snakemake.params.primary_classifier,
            has_deep=snakemake.params.has_deep,
            stability=StabilitySettings(**snakemake.params.stability),
        ),
    )
