"""Load the templates, styles and scripts that the report, the QC page and the prediction page share."""

from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

from metaswin.core.formatting import count, days, feature_set_name, listed, seconds

if TYPE_CHECKING:
    import jinja2


def environment(package: str) -> "jinja2.Environment":
    """Return a Jinja environment with the templates of a package and the shared ones.

    All values are escaped. The environment contains the filters that the templates use.
    """
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
    """Return the text of a shared template, style sheet or script."""
    return (resources.files("metaswin.core") / "templates" / name).read_text(encoding="utf-8")


def _template(package: str, name: str) -> str:
    """Return the text of a template of the package, or of the shared template of that name if the package has none."""
    own = resources.files(package) / "templates" / name
    return own.read_text(encoding="utf-8") if own.is_file() else resource(name)
