"""`metaswin problems`: public and private parts together, also after a run that ended early."""

import pytest

from metaswin.cohort.used import listing
from metaswin.core.errors import UserError
from metaswin.core.files import write_table
from metaswin.core.problems import Problem, public_table, save_details


def problem(patient, code, excludes, private=""):
    return Problem(patient, "ingest", code, "this", "that", "do something", excludes, private)


def test_listing_when_a_table_exists_then_exclusions_come_first_with_private_part(tmp_path):
    problems = [problem("A", "odd", False), problem("B", "no-matching-roi", True, "names found: Smith")]
    write_table(tmp_path / "results/cohort/exclusions.parquet", public_table(problems))
    save_details(problems, tmp_path / "private/details")
    lines = listing(tmp_path).splitlines()
    assert lines[0] == "B  ingest  no-matching-roi  (excluded)"
    assert "    private   names found: Smith" in lines
    assert lines.index("A  ingest  odd  (warning)") > 0


def test_listing_when_the_run_excluded_all_patients_then_private_details_are_listed(tmp_path):
    save_details([problem("B", "no-matching-roi", True, "names found: Smith")], tmp_path / "private/details")
    assert listing(tmp_path).splitlines() == ["B  ingest  no-matching-roi", "    private   names found: Smith"]


def test_listing_when_nothing_was_run_then_it_says_so(tmp_path):
    with pytest.raises(UserError, match="run the workflow there first"):
        listing(tmp_path)
