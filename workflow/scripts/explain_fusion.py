"""Shapley values of one fold's headline arm."""

from metaswin.explanation.fold import explain_fold
from metaswin.explanation.settings import ExplanationSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    explain_fold(
        # An input the data source does not have is an empty list.
        inputs={name: path or None for name, path in snakemake.input.items()},
        outputs=dict(snakemake.output.items()),
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        sets=snakemake.params.sets,
        settings=ExplanationSettings(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
