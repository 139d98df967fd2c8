"""What every job script does first: log to the rule's log file and show the user's mistakes without a traceback."""

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

# They quote values of headers, and a log must not identify a patient.
QUOTING = ("pydicom", "highdicom")


@contextmanager
def job(log: str | Path) -> Iterator[logging.Logger]:
    """Log to `log`; a `UserError` ends the job with its message in the log and on stderr, exit status 1.

    So does a full disk. Any other exception is a bug or a damaged input: its message may hold a path or a header's
    text, so the log has its kind and place only, and the terminal all of it.
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
    """Whether a record may go into a log: warnings of libraries that quote headers may not."""
    if record.name == "py.warnings":
        return not any(name in record.getMessage() for name in QUOTING)
    return record.name.split(".")[0] not in QUOTING
