"""Describe the run as an RO-Crate."""

from metaswin.core.joblog import job
from metaswin.report.crate import CrateInputs, pack_crate

with job(snakemake.log[0]):
    pack_crate(
        CrateInputs(
            workflow=snakemake.input.workflow,
            report=snakemake.input.report,
            figures=snakemake.input.figures,
            tables=snakemake.input.tables,
            given=dict(zip(snakemake.params.given, snakemake.input.given, strict=True)),
            computed=snakemake.input.computed,
        ),
        output=snakemake.output.folder,
        config=snakemake.params.config,
    )
