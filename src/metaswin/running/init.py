"""A commented configuration for a new study."""

from pathlib import Path

from metaswin.errors import UserError, suggestion
from metaswin.files import write_text
from metaswin.running.cli import CONFIG
from metaswin.running.places import workflow_root

HEAD = """\
# The configuration of this folder; `metaswin run` reads it by itself, plain Snakemake with `--configfile {name}`.
# It goes on top of the defaults, which `metaswin init --example all-settings` writes down with what each means.
# Relative paths start in this folder. Unknown keys are errors: `metaswin doctor` names them with their line.
"""


def write_config(folder: Path, example: str) -> Path:
    """Write ``metaswin.yaml`` into `folder`, from an example of ``config/examples`` or from all settings.

    Raises
    ------
    UserError
        If there is one already, or no such example.
    """
    root = workflow_root() / "config"
    texts = {path.stem: path for path in sorted((root / "examples").glob("*.yaml"))} | {
        "all-settings": root / "config.yaml"
    }
    if example not in texts:
        raise UserError(f"--example: there is no {example!r}{suggestion(example, texts)}")
    path = folder / CONFIG
    if path.exists():
        raise UserError(f"{path} is there already; edit it, or name another folder")
    text = texts[example].read_text(encoding="utf-8")
    write_text(path, text if example == "all-settings" else HEAD.format(name=CONFIG) + text)
    return path
