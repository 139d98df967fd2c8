"""Study ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.cohort.study_ids import alike, is_usable, same_but_writing, suggest


@pytest.mark.parametrize("identifier", ["P1", "HN-CHUM-001", "0", "a.b_c-d"])
def test_is_usable_when_only_allowed_characters_then_true(identifier):
    assert is_usable(identifier)


@pytest.mark.parametrize("identifier", ["", " P1", "Doe^John", "-P1", "../P1", "P1/2", "Müller", "P1\n", "٣"])
def test_is_usable_when_anything_else_then_false(identifier):
    assert not is_usable(identifier)


@given(st.text(max_size=30))
def test_suggest_when_given_any_text_then_usable_or_empty(identifier):
    suggestion = suggest(identifier)
    assert suggestion == "" or is_usable(suggestion)


def test_suggest_when_characters_are_not_allowed_then_they_become_hyphens():
    assert suggest("Doe^John 12/3") == "Doe-John-12-3"


def test_same_but_writing_when_case_zeros_or_separators_differ_then_found():
    others = ["STS_1", "sts-001", "STS_010", "STS_002", "STS001"]
    assert same_but_writing("STS_001", others) == ["STS001", "STS_1", "sts-001"]


def test_same_but_writing_when_digits_are_split_otherwise_then_not_the_same():
    assert same_but_writing("A-1-2", ["A-12", "A12"]) == []


def test_alike_when_ids_differ_by_writing_then_each_names_the_others():
    assert alike(["P7", "P-007", "p7", "Q1", "Q2"]) == {
        "P-007": ["P7", "p7"],
        "P7": ["P-007", "p7"],
        "p7": ["P-007", "P7"],
    }
