"""Write the page and the table of the quality control."""

from metaswin.cohort.quality_control import make_qc
from metaswin.config.cohort import ClinicalSettings, EndpointSettings, QcSettings
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    make_qc(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        ClinicalSettings(**snakemake.params.clinical),
        {name: EndpointSettings(**endpoint) for name, endpoint in snakemake.params.endpoints.items()},
        QcSettings(**snakemake.params.settings),
        snakemake.params.single_column_auc,
        snakemake.params.folds,
        snakemake.params.details,
    )
