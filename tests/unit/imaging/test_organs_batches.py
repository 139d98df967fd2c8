"""Batches that a new patient leaves alone, and groups of organs."""

from hypothesis import given
from hypothesis import strategies as st

from metaswin.imaging.batches import batches
from metaswin.imaging.organ_labels import labels_of, resolve

IDS = st.sets(st.text("ABC0123456789-", min_size=1, max_size=8), max_size=60)


@given(IDS, st.integers(1, 20))
def test_batches_when_formed_then_each_patient_once_and_none_too_large(patients, size):
    found = batches(patients, size)
    assert sorted(p for members in found.values() for p in members) == sorted(patients)
    assert all(1 <= len(members) <= size for members in found.values())


@given(IDS, st.text("XYZ", min_size=1, max_size=6), st.integers(1, 20))
def test_batches_when_a_patient_is_added_then_at_most_one_batch_changes(patients, new, size):
    before, after = batches(patients, size), batches({*patients, new}, size)
    changed = [members for name, members in before.items() if after.get(name) != members]
    assert len(changed) <= 1
    moved = {patient for members in changed for patient in members}
    home = {patient for members in after.values() if new in members for patient in members}
    assert home - {new} <= moved or not changed


def test_batches_when_the_order_differs_then_the_same():
    patients = [f"P{number:03d}" for number in range(50)]
    assert batches(patients, 7) == batches(reversed(patients), 7)


def test_resolve_when_patterns_then_labels_of_all_that_match():
    labels = {"bone": 4, "skull": 9, "vertebrae_C1": 12, "air": 1}
    groups = resolve({"bone": ["bone", "skull", "vertebrae_*"], "glands": ["*_gland_*"]}, labels)
    assert groups == {"bone": [4, 9, 12]}


def test_labels_of_when_group_organ_or_neither_then_labels_or_none():
    facts = {"labels": {"bone": 4, "skull": 9}, "groups": {"bone": [4, 9]}}
    assert labels_of("bone", facts) == [4, 9]
    assert labels_of("skull", facts) == [9]
    assert labels_of("jaw", facts) is None
    assert labels_of("bone", {"labels": {"bone": 4}}) == [4]
