"""Build the report: one HTML file that opens offline, tables as CSV, figures as SVG and PDF."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from metaswin.files import atomic, write_text
from metaswin.report import tables, words
from metaswin.report.checklists import Checklist, filled
from metaswin.report.data import ReportData, read_report_data
from metaswin.report.drawing import write_figure
from metaswin.report.environment import environment, resource
from metaswin.report.evidence import coverage_in_time, coverage_rows
from metaswin.report.facts import machine, settings_hash, times, versions
from metaswin.report.methods import methods
from metaswin.report.patients import chosen_pictures, embedded
from metaswin.report.run_statements import conditions, statements
from metaswin.report.settings import ReportSettings
from metaswin.report.svg import chart_svg, scale_svg, swatch, track_svg
from metaswin.report.views import cohort_view, endpoint_view


def build_report(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    settings: ReportSettings,
    config: Mapping[str, Any],
    benchmarks: str | Path,
) -> None:
    """Write the report.

    Parameters
    ----------
    inputs : mapping
        See `metaswin.report.data.read_report_data`.
    outputs : mapping
        ``html`` (path), ``tables`` and ``figures`` (folders; the names of the files are those of
        `metaswin.report.files`).
    settings : ReportSettings
    config : mapping
        The configuration as plain values, see `metaswin.report.files.portable`.
    benchmarks : path
        Folder with Snakemake's benchmark files; it may be absent.
    """
    data = read_report_data(inputs, config)
    run = {
        "versions": versions(),
        "machine": machine(),
        "seed": config["seed"],
        "settings_hash": settings_hash(config),
        "times": times(benchmarks),
        "date": datetime.now(UTC).date().isoformat(),
    }
    lists = filled(statements(data, config), conditions(data, config))
    views = [endpoint_view(endpoint, data, settings, config) for endpoint in data.endpoints]
    _write_tables(data, run["times"], lists, Path(outputs["tables"]))
    for view in views:
        for figure in view["figures"]:
            write_figure(figure, Path(outputs["figures"]))
    pictures = {patient: embedded(path) for patient, path in chosen_pictures(data, settings.pictures).items()}
    templates = environment("metaswin.report")
    templates.globals |= {
        "picture": lambda path: Markup(embedded(path)),
        "chart_svg": lambda chart: Markup(chart_svg(chart)),
        "swatch": lambda style: Markup(swatch(style)),
        "track": lambda forest, number: Markup(track_svg(forest, number)),
        "scale": lambda forest: Markup(scale_svg(forest)),
    }
    page = templates.get_template("page.html.j2").render(
        title=settings.title,
        data=data,
        views=views,
        cohort=cohort_view(data),
        limits=words.limits(data, config),
        methods=methods(data, config, run["versions"]),
        checklists=lists,
        coverage=coverage_rows(),
        in_time=coverage_in_time() if any(view["survival"] for view in views) else None,
        run=run,
        pictures=pictures,
        style=resource("report.css"),
        script=resource("report.js"),
    )
    write_text(outputs["html"], page)


def _write_tables(data: ReportData, spent: pd.DataFrame, lists: list[Checklist], folder: Path) -> None:
    items = [{"list": one.name, **vars(item)} for one in lists for item in one.items]
    found = {
        "problems.csv": data.problems,
        "deaths.csv": pd.concat([endpoint.tables["deaths"] for endpoint in data.endpoints]),
        "times.csv": spent,
        "checklists.csv": pd.DataFrame(items),
    }
    for endpoint in data.endpoints:
        found |= {f"{name}-{endpoint.name}.csv": table for name, table in tables.csv_tables(endpoint, data).items()}
    for name, table in found.items():
        with atomic(folder / name) as temporary:
            table.to_csv(temporary, index=False)
