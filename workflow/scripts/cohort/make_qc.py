"""Write the page and the table of the quality control."""

from metaswin.cohort.quality_control import QcInputs, QcOutputs, make_qc
from metaswin.config.cohort import ClinicalSettings, EndpointSettings, QcSettings
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    make_qc(
        QcInputs(
            patients=snakemake.input.patients,
            problems=snakemake.input.problems,
            choice=snakemake.input.choice,
            clinical=snakemake.input.clinical,
            outcomes=snakemake.input.outcomes,
            series=snakemake.input.series or None,
        ),
        QcOutputs(**snakemake.output),
        ClinicalSettings(**snakemake.params.clinical),
        {name: EndpointSettings(**endpoint) for name, endpoint in snakemake.params.endpoints.items()},
        QcSettings(**snakemake.params.settings),
        snakemake.params.single_column_auc,
        snakemake.params.folds,
        snakemake.params.details,
    )
