"""ROI names and roles."""

import pytest
from pydantic import ValidationError

from metaswin.cohort.contour_sets import Roi, by_role, explain_no_match, roles_of
from metaswin.config.cohort import RoiSettings

DEFAULT = RoiSettings()


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("GTV", ("primary",)),
        (" gtvp ", ("primary",)),
        ("GTV-P1", ("primary",)),
        ("GTVt", ("primary",)),
        ("GTVn_left", ("nodes",)),
        ("GTV LN 2", ("nodes",)),
        ("Node 3", ("nodes",)),
        ("CTV", ()),
        ("PTV_GTV", ()),
        ("", ()),
    ],
)
def test_roles_of_when_default_patterns_then_names_of_the_field_have_their_role(name, roles):
    assert roles_of(name, DEFAULT) == roles


def test_roles_of_when_name_is_excluded_then_no_role():
    settings = RoiSettings(primary=["gtv.*"], exclude=[".*_old"])
    assert roles_of("GTVp_old", settings) == ()
    assert roles_of("GTVp", settings) == ("primary",)


def test_by_role_when_a_name_matches_both_then_it_is_primary_once():
    settings = RoiSettings(primary=["gtv.*"], nodes=["gtvn.*"])
    rois = [Roi(1, "GTVn", 3), Roi(2, "GTVp", 3)]
    assert by_role(rois, settings) == {"primary": rois, "nodes": []}


def test_explain_no_match_when_a_name_is_near_then_names_patterns_and_nearest_shown():
    text = explain_no_match(["G.T.V. p", "Parotid_L"], RoiSettings(primary=["gtv[-_ ]?p"], nodes=["node.*"]))
    assert "names found: 'G.T.V. p', 'Parotid_L'" in text
    assert "patterns tried for primary: 'gtv[-_ ]?p'" in text
    assert "nearest for primary: 'G.T.V. p'; to use it, add 'G\\.T\\.V\\.\\ p'" in text
    assert "nearest for nodes" not in text


@pytest.mark.parametrize(
    ("names", "role", "near"),
    [
        (["Primary_tumour", "Brain", "Parotid_L"], "primary", "Primary_tumour"),
        (["gtv_tumour", "PTV70", "SpinalCord"], "primary", "gtv_tumour"),
        (["Lymph left", "Brain"], "nodes", "Lymph left"),
    ],
)
def test_explain_no_match_when_no_pattern_is_near_then_words_of_the_role_find_it(names, role, near):
    settings = RoiSettings(primary=["gtv[-_ ]?p.*"], nodes=["gtv[-_ ]?n.*"])
    assert f"nearest for {role}: {near!r}" in explain_no_match(names, settings)


def test_explain_no_match_when_a_name_is_excluded_then_it_is_not_the_nearest():
    settings = RoiSettings(primary=["gtv[-_ ]?p.*"], exclude=["old.*"])
    assert "nearest" not in explain_no_match(["old tumour", "Brain"], settings)


def test_explain_no_match_when_there_is_no_roi_then_it_says_so():
    assert explain_no_match([], DEFAULT).startswith("names found: none")


def test_settings_when_a_pattern_is_not_a_regular_expression_then_the_error_explains():
    with pytest.raises(ValidationError, match="not a regular expression"):
        RoiSettings(primary=["gtv("])
