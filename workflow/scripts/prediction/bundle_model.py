"""Freeze the finished run."""

from metaswin.cohort.fits import fit_name
from metaswin.config.prediction import BundleSettings
from metaswin.core.files import read_json
from metaswin.core.joblog import job
from metaswin.features.matrix import table_paths
from metaswin.prediction.freeze import FreezeInputs, freeze

with job(snakemake.log[0]):
    # Without radiomics there is no folder of tables.
    finals = [fit_name(read_json(path)["fold"]) for path in snakemake.input.fits]
    tables = [table_paths(folder, [fit]) for folder, fit in zip(snakemake.input.tables, finals, strict=False)]
    freeze(
        FreezeInputs(
            fits=snakemake.input.fits,
            predictions=snakemake.input.predictions,
            models=snakemake.input.models,
            selection=snakemake.input.selection,
            harmonisation=snakemake.input.harmonisation,
            harmonisation_values=snakemake.input.harmonisation_values,
            volume=snakemake.input.volume,
            radiomics=[own[fit, "radiomics"] for own, fit in zip(tables, finals, strict=False)],
            peri_radiomics=[own[fit, "peri_radiomics"] for own, fit in zip(tables, finals, strict=False)],
            deep=snakemake.input.deep,
            network=snakemake.input.network,
            folds=snakemake.input.folds,
            facts=snakemake.input.facts,
            clinical=snakemake.input.clinical,
            used=snakemake.input.used,
            summary=snakemake.input.summary,
            images=snakemake.input.images,
            anatomy=snakemake.input.anatomy or None,
            embedding=snakemake.input.embedding or None,
        ),
        snakemake.output.folder,
        snakemake.output.archive,
        BundleSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.sets,
    )
