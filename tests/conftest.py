"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real data (`sts/`, `ibsi/`, `radcure/`); the test is skipped where there is none."""
    folder = Path(os.environ.get("METASWIN_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set METASWIN_SHARED to a folder with sts/, ibsi/ and radcure/")
    return folder


@pytest.fixture(scope="session")
def kernels() -> None:
    """The radiomics kernels from disk, for tests that call the engine's parts: each process would compile them anew."""
    from metaswin.radiomics.kernels import load_kernels

    load_kernels()
