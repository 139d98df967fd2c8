"""Jobs within a test: what `metaswin.core.joblog.job` changes for the whole process is put back."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def restored_logging() -> Iterator[None]:
    """Close the log's file and take warnings out of it again."""
    handlers, filters = logging.getLogger().handlers[:], warnings.filters[:]
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in logging.getLogger().handlers[:]:
            if handler not in handlers:
                handler.close()
        logging.getLogger().handlers[:] = handlers
        warnings.filters[:] = filters
