"""Feature sets and the check of their names."""

import pytest

from metaswin.config.cohort import ClinicalSettings
from metaswin.config.feature_sets import check_feature_sets, clinical_sets, expand_feature_sets, primary_feature_set
from metaswin.config.model import Config
from metaswin.config.models import MODALITIES, FusionSettings
from metaswin.core.errors import UserError

SETS = ["paper", "staging"]


def names(settings, modalities=MODALITIES, sets=SETS, has_volume=True):
    return [feature_set.name for feature_set in expand_feature_sets(settings, modalities, sets, has_volume)]


def config(**fusion):
    return Config.model_validate(
        {
            "data": {"source": fusion.pop("source", "dicom")},
            "clinical": {
                "columns": {"age": "baseline", "n": "baseline"},
                "sets": fusion.pop("sets", {"paper": ["age"], "staging": ["age", "n"]}),
            },
            "fusion": fusion,
        }
    )


def test_expand_when_all_data_exist_then_singles_pairs_all_volume_and_sets():
    assert names(FusionSettings()) == [
        "clinical:paper",
        "radiomics",
        "peri_radiomics",
        "deep",
        "embedding",
        "clinical+radiomics",
        "clinical+peri_radiomics",
        "clinical+deep",
        "clinical+embedding",
        "radiomics+peri_radiomics",
        "radiomics+deep",
        "radiomics+embedding",
        "peri_radiomics+deep",
        "peri_radiomics+embedding",
        "deep+embedding",
        "clinical+radiomics+peri_radiomics+deep+embedding",
        "anatomy",
        "volume",
        "clinical:staging",
    ]


def test_expand_when_two_modalities_then_all_is_their_pair():
    assert names(FusionSettings(clinical_set="staging"), ["clinical", "radiomics"], has_volume=False) == [
        "clinical:staging",
        "radiomics",
        "clinical+radiomics",
        "clinical:paper",
    ]


def test_expand_when_clinical_only_then_one_feature_set_a_set():
    assert names(FusionSettings(), ["clinical"], has_volume=False) == ["clinical:paper", "clinical:staging"]


def test_expand_when_order_and_set_differ_then_the_name_is_canonical():
    settings = FusionSettings(
        feature_sets=["deep+clinical:paper", "clinical:staging + volume", "deep+clinical", "clinical"]
    )
    feature_sets = expand_feature_sets(settings, MODALITIES, SETS, True)
    assert [(feature_set.name, feature_set.modalities) for feature_set in feature_sets] == [
        ("clinical+deep", ("clinical:paper", "deep")),
        ("clinical:staging+volume", ("clinical:staging", "volume")),
        ("clinical:paper", ("clinical:paper",)),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("all", "clinical+radiomics"),
        ("clinical", "clinical:paper"),
        ("radiomics+clinical:paper", "clinical+radiomics"),
        ("volume", "volume"),
    ],
)
def test_primary_when_named_then_it_is_the_feature_set_that_joins_the_same(wanted, found):
    settings = FusionSettings(primary_feature_set=wanted)
    modalities = ["clinical", "radiomics"]
    feature_sets = expand_feature_sets(settings, modalities, SETS, True)
    assert primary_feature_set(settings, feature_sets, modalities, SETS).name == found


def test_primary_when_not_among_the_feature_sets_then_the_message_lists_them():
    settings = FusionSettings(feature_sets=["radiomics", "volume"])
    feature_sets = expand_feature_sets(settings, MODALITIES, SETS, True)
    with pytest.raises(UserError, match=r"fusion.primary_feature_set: 'all' is not among .* radiomics, volume"):
        primary_feature_set(settings, feature_sets, MODALITIES, SETS)


def test_expand_when_the_data_lack_a_named_modality_then_error_names_both():
    with pytest.raises(UserError, match=r"'clinical[+]deep' needs deep, but these data have clinical, volume"):
        expand_feature_sets(FusionSettings(feature_sets=["clinical+deep"]), ["clinical"], SETS, True)


def test_sets_when_none_named_then_all_baseline_columns_and_no_treatment():
    columns = {"age": "baseline", "chemo": "treatment", "dm": "outcome", "t": "baseline"}
    assert clinical_sets(ClinicalSettings(columns=columns)) == {"baseline": ["age", "t"]}


def test_check_when_defaults_then_no_message_for_any_source():
    assert [check_feature_sets(config(source=source)) for source in ("dicom", "nifti", "features", "clinical")] == [
        []
    ] * 4


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        ({"feature_sets": ["radiomcs", "all"]}, "'radiomcs'; did you mean 'radiomics'?"),
        ({"feature_sets": ["clinical:stagng", "all"]}, "did you mean 'clinical:staging'?"),
        ({"clinical_set": "stageing"}, "fusion.clinical_set: there is no set 'stageing'; did you mean 'staging'?"),
        ({"primary_feature_set": "clincal"}, "did you mean 'clinical'?"),
        (
            {"primary_feature_set": "volume", "source": "clinical"},
            "fusion.primary_feature_set: 'volume' is not among the feature sets",
        ),
        ({"feature_sets": ["clinical+deep", "all"], "source": "clinical"}, "needs deep, but these data have clinical"),
        ({"feature_sets": []}, "fusion.feature_sets: the list is empty"),
        ({"modalities": ["deep"], "source": "clinical"}, "fusion.modalities: data.source clinical has clinical"),
        ({"sets": {"a+b": ["age"]}, "primary_feature_set": "radiomics"}, "clinical.sets: the name 'a+b'"),
    ],
)
def test_check_when_feature_sets_are_wrong_then_the_message_says_what_to_do(fusion, message):
    messages = check_feature_sets(config(**fusion))
    assert any(message in found for found in messages), messages


def test_check_when_several_feature_sets_are_wrong_then_each_has_a_message():
    assert len(check_feature_sets(config(feature_sets=["deap", "radiomix", "volume"]))) == 2
