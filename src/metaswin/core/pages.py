"""The look of every page: templates, style and script that report, quality control and predictions share."""

from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

from metaswin.core.formatting import count, days, feature_set_name, listed, seconds

if TYPE_CHECKING:
    import jinja2


def environment(package: str) -> "jinja2.Environment":
    """Templates of a package and the shared ones, with everything escaped, and the filters that they use."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(partial(_template, package)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"days": days, "seconds": seconds, "feature_set": feature_set_name, "listed": listed}
    environment.globals |= {"count": count}
    return environment


def resource(name: str) -> str:
    """Text of a shared template, style or script."""
    return (resources.files("metaswin.core") / "templates" / name).read_text(encoding="utf-8")


def _template(package: str, name: str) -> str:
    """Text of a template of the package; of the shared one of that name where it has none."""
    own = resources.files(package) / "templates" / name
    return own.read_text(encoding="utf-8") if own.is_file() else resource(name)
