"""Set up each job script: log to the rule's log file and show the user's errors without a traceback."""

import errno
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaswin.core.errors import UserError
from metaswin.core.files import WRITE_ERRORS

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# Warnings of these libraries quote header values, and a log must not identify a patient.
QUOTING = ("pydicom", "highdicom")


@contextmanager
def job(log: str | Path) -> Iterator[logging.Logger]:
    """Log to the file `log`, and end the job with exit status 1 on an error.

    The message of a `UserError` is written to the log and to stderr without a traceback. For a full or read-only
    disk, the log says what to do. Any other exception is a bug or a damaged input. Its message may contain a path or
    the text of a header. Therefore the log contains only its type and traceback, and the full message appears on the
    terminal only.
    """
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            filename=log, filemode="w", level=logging.INFO, force=True, format="%(asctime)s %(levelname)s %(message)s"
        )
    except OSError as error:
        print(f"cannot write {log}: {WRITE_ERRORS.get(error.errno or 0, error.strerror)}", file=sys.stderr)
        sys.exit(1)
    logging.captureWarnings(True)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_identifies_no_patient)
    logger = logging.getLogger("metaswin")
    try:
        yield logger
    except UserError as error:
        logger.error("%s", error)
        print(error, file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            logger.error("%s", WRITE_ERRORS[error.errno])
        places = "".join(traceback.format_tb(error.__traceback__))
        logger.error("the job failed: %s (its message is on the terminal only)\n%s", type(error).__name__, places)
        raise


def _identifies_no_patient(record: logging.LogRecord) -> bool:
    """Return whether a record may be logged: False for warnings of libraries that quote header values."""
    if record.name == "py.warnings":
        return not any(name in record.getMessage() for name in QUOTING)
    return record.name.split(".")[0] not in QUOTING
