"""Freeze the finished run."""

from metaswin.config.prediction import BundleSettings
from metaswin.core.joblog import job
from metaswin.prediction.freeze import FreezeInputs, freeze

with job(snakemake.log[0]):
    freeze(
        FreezeInputs(
            fits=snakemake.input.fits,
            predictions=snakemake.input.predictions,
            models=snakemake.input.models,
            selection=snakemake.input.selection,
            harmonisation=snakemake.input.harmonisation,
            harmonisation_values=snakemake.input.harmonisation_values,
            volume=snakemake.input.volume,
            radiomics=snakemake.input.radiomics,
            peri_radiomics=snakemake.input.peri_radiomics,
            deep=snakemake.input.deep,
            network=snakemake.input.network,
            folds=snakemake.input.folds,
            facts=snakemake.input.facts,
            clinical=snakemake.input.clinical,
            used=snakemake.input.used,
            summary=snakemake.input.summary,
            images=snakemake.input.images,
            anatomy=snakemake.input.anatomy or None,
        ),
        snakemake.output.folder,
        snakemake.output.archive,
        BundleSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.sets,
    )
