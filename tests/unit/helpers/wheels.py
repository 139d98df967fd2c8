"""metaswin's wheel, for tests of what an installation holds."""

import subprocess
import sys
from pathlib import Path


def tracked(repository: Path) -> list[str]:
    """Files that belong to the repository."""
    found = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def build_wheel(repository: Path, folder: Path) -> Path:
    """Build the wheel in `folder`, of a copy of the repository's files: setuptools writes beside them."""
    copy = folder / "copy"
    for name in tracked(repository):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((repository / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))
