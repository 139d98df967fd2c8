"""Score and describe every patient of a fold by its networks."""

from pathlib import Path

from metaswin.deep.compute import keep_freed_memory
from metaswin.deep.features import extract_features
from metaswin.deep.settings import DeepSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    keep_freed_memory()
    extract_features(
        patches=snakemake.input.patches,
        folds=snakemake.input.folds,
        networks={Path(path).parent.name: path for path in snakemake.input.networks},
        output=snakemake.output.features,
        repeat=int(snakemake.wildcards.repeat),
        fold=int(snakemake.wildcards.fold),
        settings=DeepSettings(**snakemake.params.settings),
        mode=snakemake.params.mode,
    )
