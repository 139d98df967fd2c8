"""Go on after the quality control, or stop."""

from metaswin.joblog import job
from metaswin.qc.gate import pass_qc
from metaswin.qc.settings import QcSettings

with job(snakemake.log[0]):
    pass_qc(
        snakemake.input.problems,
        snakemake.input.page,
        snakemake.output.passed,
        QcSettings(**snakemake.params.settings),
    )
