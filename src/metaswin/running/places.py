"""Where the workflow's files lie: in the checkout, or in the environment that metaswin was installed into."""

import sysconfig
from pathlib import Path

import metaswin
from metaswin.errors import UserError


def workflow_root() -> Path:
    """Folder of the Snakefile, with `workflow`, `config`, `profiles` and `requirements.txt` beside it.

    Raises
    ------
    UserError
        If there is none.
    """
    candidates = [Path(metaswin.__file__).resolve().parents[2], Path(sysconfig.get_path("data")) / "share/metaswin"]
    for folder in candidates:
        if (folder / "Snakefile").is_file() and (folder / "workflow/rules").is_dir():
            return folder
    raise UserError(
        f"no Snakefile of metaswin (looked in {' and '.join(map(str, candidates))}); install it anew, "
        "or run `snakemake` in a checkout"
    )
