"""The look of every page: templates, style and script of the report."""

from importlib import resources
from typing import TYPE_CHECKING

from metaswin.report.numbers import arm_name, count, days, listed, seconds
from metaswin.report.svg import chart_svg, scale_svg, swatch, track_svg

if TYPE_CHECKING:
    import jinja2


def environment() -> "jinja2.Environment":
    """Templates with everything escaped, and the filters and drawings they use."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(resource),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"days": days, "seconds": seconds, "arm": arm_name, "listed": listed}
    environment.globals |= {
        "count": count,
        "chart_svg": lambda chart: Markup(chart_svg(chart)),
        "swatch": lambda style: Markup(swatch(style)),
        "track": lambda forest, number: Markup(track_svg(forest, number)),
        "scale": lambda forest: Markup(scale_svg(forest)),
    }
    return environment


def resource(name: str) -> str:
    """Text of a template, style or script."""
    return (resources.files("metaswin.report") / "templates" / name).read_text(encoding="utf-8")
