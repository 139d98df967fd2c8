"""Refit all table arms on some permutations of the outcome."""

from metaswin.controls.refit import Refitting, permute_batch
from metaswin.controls.settings import PermutationSettings
from metaswin.folds.settings import FoldsSettings
from metaswin.fusion.settings import FusionSettings
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.joblog import job
from metaswin.selection.settings import SelectionSettings
from metaswin.stability.settings import StabilitySettings

with job(snakemake.log[0]):
    permute_batch(
        inputs=dict(snakemake.input.items()),
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
            headline_head=snakemake.params.headline_head,
            has_deep=snakemake.params.has_deep,
            stability=StabilitySettings(**snakemake.params.stability),
        ),
    )
