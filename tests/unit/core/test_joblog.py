"""The log of a job: the user's mistakes without a traceback, and nobody's name."""

import errno
import logging
import warnings

import pytest
from joblogs import restored_logging

from metaswin.core.errors import UserError
from metaswin.core.joblog import job

SECRET = "Smith^John /data/Smith"


@pytest.fixture(autouse=True)
def _restored_logging():
    with restored_logging():
        yield


def test_job_when_user_error_then_message_in_log_and_terminal_and_status_is_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, job(tmp_path / "logs/a.log"):
        raise UserError("folds.k is too large; take 3")
    assert end.value.code == 1
    assert "folds.k is too large" in capsys.readouterr().err
    assert "ERROR folds.k is too large" in (tmp_path / "logs/a.log").read_text()


def test_job_when_it_crashes_then_the_log_has_kind_and_place_but_not_the_message(tmp_path):
    with pytest.raises(ValueError, match="Smith"), job(tmp_path / "a.log"):
        raise ValueError(SECRET)
    text = (tmp_path / "a.log").read_text()
    assert "ValueError" in text
    assert "test_joblog.py" in text
    assert "Smith" not in text


def test_job_when_the_disk_is_full_outside_a_writer_then_the_log_says_so(tmp_path):
    with pytest.raises(OSError, match="No space"), job(tmp_path / "a.log"):
        raise OSError(errno.ENOSPC, "No space left on device", SECRET)
    text = (tmp_path / "a.log").read_text()
    assert "the disk is full" in text
    assert "Smith" not in text


def test_job_when_libraries_quote_headers_then_only_other_messages_are_logged(tmp_path):
    with job(tmp_path / "a.log") as logger:
        warnings.simplefilter("default")
        logging.getLogger("pydicom").warning(SECRET)
        warnings.warn_explicit(f"Invalid value {SECRET}", UserWarning, "/site-packages/pydicom/valuerep.py", 1)
        logger.info("8 series")
        warnings.warn_explicit("matrix is singular", UserWarning, "/site-packages/scipy/linalg.py", 1)
    text = (tmp_path / "a.log").read_text()
    assert "Smith" not in text
    assert "8 series" in text
    assert "matrix is singular" in text
