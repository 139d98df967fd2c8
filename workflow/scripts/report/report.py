"""Build the report."""

from pathlib import Path

from metaswin.config.report import ReportSettings
from metaswin.core.joblog import job
from metaswin.report.build import build_report

with job(snakemake.log[0]):
    html = Path(snakemake.output.html)
    build_report(
        dict(snakemake.input.items()),
        {"html": html, "tables": html.parent / "tables", "figures": html.parent / "figures"},
        ReportSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.benchmarks,
    )
