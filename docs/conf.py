"""Settings of the documentation site (`make docs`): https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

from metaswin import __version__  # noqa: E402

project = "metaswin"
author = "metaswin developers"
project_copyright = "metaswin developers, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated_reference"]
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
highlight_language = "text"
smartquotes = False  # `--option` must stay as it is
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = True
napoleon_google_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "metaswin"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}

# The report and the QC page of a demo run become part of the site if there is such a run; `make docs` names its folder.
RUN = Path(os.environ.get("METASWIN_EXAMPLE", HERE.parent / "demo" / "results"))
EXAMPLE = {"report.html": RUN / "report" / "report.html", "qc.html": RUN / "cohort" / "qc.html"}
if all(path.is_file() for path in EXAMPLE.values()):
    tags.add("example")  # noqa: F821 (Sphinx gives this name)


def setup(app):
    """Copy the pages of the example run into the finished site."""
    app.connect("build-finished", copy_example)


def copy_example(app, error):
    """Copy the pages of the example run, as a run wrote them, to ``example/``."""
    if error is None and "example" in app.tags:
        target = Path(app.outdir) / "example"
        target.mkdir(exist_ok=True)
        for name, path in EXAMPLE.items():
            shutil.copyfile(path, target / name)
