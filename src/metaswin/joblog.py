"""What every job script does first: log to the rule's log file and show the user's mistakes without a traceback."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaswin.errors import UserError


@contextmanager
def job(log: str | Path) -> Iterator[logging.Logger]:
    """Log to `log`; a `UserError` ends the job with its message in the log and on stderr, exit status 1."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log, filemode="w", level=logging.INFO, force=True, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.captureWarnings(True)
    logger = logging.getLogger("metaswin")
    try:
        yield logger
    except UserError as error:
        logger.error("%s", error)
        print(error, file=sys.stderr)
        sys.exit(1)
    except Exception:
        logger.exception("the job failed")
        raise
