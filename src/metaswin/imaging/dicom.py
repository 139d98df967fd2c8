"""Read one DICOM file; an unreadable file becomes a problem of the patient, with the path in its private part."""

from pathlib import Path

import pydicom
from pydicom.config import IGNORE, settings

from metaswin.core.problems import BadData

# pydicom quotes invalid values in its warnings. Logs are public, so the validation is switched off.
settings.reading_validation_mode = IGNORE


def read_dicom(path: str | Path, tags: list[str]) -> pydicom.Dataset:
    """Read the elements `tags` (keywords) of a DICOM file.

    Raises
    ------
    BadData
        ``file-missing`` or ``file-unreadable``.
    """
    try:
        return pydicom.dcmread(path, specific_tags=tags)
    except FileNotFoundError:
        raise missing(path) from None
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def missing(path: str | Path) -> BadData:
    """Return the problem of a file that existed when the data were indexed and is now missing."""
    return BadData(
        "file-missing",
        "a file that no longer exists",
        "every file of the chosen series",
        "restore the file, or index the data again",
        f"no file {path}",
    )


def unreadable(path: str | Path, error: Exception) -> BadData:
    """Return the problem of a file that cannot be read."""
    return BadData(
        "file-unreadable",
        f"a file that cannot be read ({type(error).__name__})",
        "a complete file of its format",
        "copy or export the file again",
        f"{path}: {error}",
    )
