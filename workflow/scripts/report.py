"""Build the report."""

from pathlib import Path

from metaswin.joblog import job
from metaswin.report.build import build_report
from metaswin.report.settings import ReportSettings

with job(snakemake.log[0]):
    html = Path(snakemake.output.html)
    build_report(
        dict(snakemake.input.items()),
        {"html": html, "tables": html.parent / "tables", "figures": html.parent / "figures"},
        ReportSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.benchmarks,
    )
