"""Let the matched patients go on, or stop the run (qc.on_problem)."""

import time

from metaswin.files import write_text
from metaswin.joblog import job
from metaswin.qc.gate import pass_gate
from metaswin.qc.settings import QcSettings

with job(snakemake.log[0]):
    pass_gate(
        problems=snakemake.input.qc,
        page=snakemake.input.page,
        matched=snakemake.input.patients,
        matched_sources=snakemake.input.sources,
        patients=snakemake.output.patients,
        sources=snakemake.output.sources,
        settings=QcSettings(**snakemake.params.settings),
    )
    write_text(snakemake.output.stamp, f"{time.time_ns()}\n")
