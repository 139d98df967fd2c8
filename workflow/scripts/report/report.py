"""Build the report."""

from pathlib import Path

from metaswin.config.report import ReportSettings
from metaswin.core.joblog import job
from metaswin.report.build import ReportOutputs, build_report
from metaswin.report.data import ReportInputs

with job(snakemake.log[0]):
    html = Path(snakemake.output.html)
    build_report(
        ReportInputs(
            evaluation=snakemake.input.evaluation,
            flow=snakemake.input.flow,
            exclusions=snakemake.input.exclusions,
            used=snakemake.input.used,
            clinical=snakemake.input.clinical,
            problems=snakemake.input.problems,
            selection=snakemake.input.selection,
            stability=snakemake.input.stability,
            training=snakemake.input.training,
            survival=snakemake.input.survival,
            controls=snakemake.input.controls,
            optimism=snakemake.input.optimism,
            explanation=snakemake.input.explanation,
            site=snakemake.input.site,
            qc_images=snakemake.input.qc_images,
            maps=snakemake.input.maps,
            review=snakemake.input.review or None,
        ),
        ReportOutputs(html, html.parent / "tables", html.parent / "figures"),
        ReportSettings(**snakemake.params.settings),
        snakemake.params.config,
        snakemake.params.benchmarks,
    )
