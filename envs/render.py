"""Write the conda environment and the container recipes of this folder from the one lock, requirements.txt.

python envs/render.py [FOLDER]
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE.parent / "requirements.txt"
# What an installed metaswin is built from.
SOURCES = ("requirements.txt", "pyproject.toml", "README.md", "Snakefile", "config", "profiles", "src", "workflow")
DEBIAN = "bookworm"
PLACE = "/opt/metaswin"
# pyradiomics is compiled; the compiler goes again.
COMMANDS = (
    "apt-get update",
    "apt-get install -y --no-install-recommends gcc libc6-dev",
    f"pip install --no-cache-dir --requirement {PLACE}/requirements.txt",
    f"pip install --no-cache-dir --no-deps --no-build-isolation {PLACE}",
    "apt-get purge -y --auto-remove gcc libc6-dev",
    "rm -rf /var/lib/apt/lists/*",
)
NOTE = "Written by envs/render.py from requirements.txt (make envs)."

CONDA = """# {note} conda env create --file envs/metaswin.yaml, then
# pip install --no-deps --no-build-isolation --editable . in it.
name: metaswin
channels: [conda-forge]
dependencies:
  - python ={python}
  - pip
  - c-compiler
  - pip:
{pins}
"""

APPTAINER = """Bootstrap: docker
From: python:{python}-slim-{debian}

# {note}
#   apptainer build envs/metaswin.sif envs/metaswin.def     (from the repository's root)
#   snakemake --sdm apptainer ...

%files
{files}

%post
    set -e
{commands}
"""

OCI = """# {note}
#   docker build --file envs/Dockerfile --tag metaswin .     (or podman; from the repository's root)
#   docker run --rm --user "$(id -u):$(id -g)" --env HOME=/tmp -v "$PWD:/work" -w /work metaswin run -d runs/my-study
# Without a HOME that may be written to, Snakemake stops: it keeps a cache there.
FROM python:{python}-slim-{debian}
{files}
RUN {commands}
ENTRYPOINT ["metaswin"]
"""


def render(lock: str) -> dict[str, str]:
    """Name and content of each file, from the text of the lock."""
    python = re.search(r"on Python (\d+\.\d+)", lock)
    if python is None:
        raise SystemExit(f"{LOCK}: its head does not say on which Python it was made")
    facts = {"note": NOTE, "python": python[1], "debian": DEBIAN}
    pins = [line for line in lock.splitlines() if line and not line.startswith("#")]
    return {
        "metaswin.yaml": CONDA.format(**facts, pins="\n".join(f"      - {pin}" for pin in pins)),
        "metaswin.def": APPTAINER.format(
            **facts,
            files="\n".join(f"    {name} {PLACE}/{name}" for name in SOURCES),
            commands="\n".join(f"    {command}" for command in COMMANDS),
        ),
        "Dockerfile": OCI.format(
            **facts,
            files="\n".join(f"COPY {name} {PLACE}/{name}" for name in SOURCES),
            commands=" \\\n    && ".join(COMMANDS),
        ),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, text in render(LOCK.read_text(encoding="utf-8")).items():
        (folder / name).write_text(text, encoding="utf-8")
