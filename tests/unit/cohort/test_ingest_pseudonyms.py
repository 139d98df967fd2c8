"""Keyed pseudonyms: a published value of HMAC, one key one name, and every way in maps the same id to the same name."""

import re
import stat

import pytest

from metaswin.cohort.clinical_table import read_clinical
from metaswin.cohort.pseudonyms import Pseudonyms, pseudonym_places, read_map, read_pseudonyms
from metaswin.cohort.sheets import read_feature_ids, read_sheet
from metaswin.cohort.study_ids import alike, same_but_writing
from metaswin.config.cohort import ClinicalSettings, DataSettings
from metaswin.config.load import load
from metaswin.core.errors import UserError
from metaswin.core.files import write_json
from metaswin.running.input_files import check_files

KEY = "a secret of more than thirty-two characters"


def test_pseudonym_when_rfc_4231_asks_then_it_begins_as_its_hmac():
    """RFC 4231, test case 2: key "Jefe", text "what do ya want for nothing?"."""
    assert Pseudonyms("Jefe").of("what do ya want for nothing?") == "P-5bdcc146bf60"


def test_pseudonym_when_there_is_no_key_then_ids_stay_and_nothing_is_written(tmp_path):
    nobody = read_pseudonyms(pseudonym_places(DataSettings(), str(tmp_path)))
    assert nobody.of("Smith 7") == "Smith 7"
    assert nobody.save() == {}
    assert list(tmp_path.iterdir()) == []


def test_pseudonyms_when_on_then_key_and_map_are_made_once_and_the_key_is_private(tmp_path):
    places = pseudonym_places(DataSettings(pseudonyms=True), str(tmp_path / "private"))
    first, second = read_pseudonyms(places), read_pseudonyms(places)
    assert first.of("A") == second.of("A") != first.of("B")
    assert re.fullmatch(r"P-[0-9a-f]{12}", first.of("Smith, John"))
    assert first.of("") == ""
    first.save()
    second.of("C")
    second.save()
    known = read_map(tmp_path / "private/pseudonyms.csv")
    assert sorted(known.values()) == ["A", "B", "C", "Smith, John"]
    assert stat.S_IMODE((tmp_path / "private/pseudonyms.key").stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "private").iterdir()} == {"pseudonyms.csv", "pseudonyms.key"}


def test_key_when_given_by_the_user_then_it_is_used_and_a_bad_one_is_reported(tmp_path):
    key = tmp_path / "hospital.key"
    settings = DataSettings(pseudonyms=True, pseudonym_key=str(key))
    with pytest.raises(UserError, match=r"data\.pseudonym_key: cannot read .*hospital\.key"):
        read_pseudonyms(pseudonym_places(settings, "p"))
    key.write_text("short\n")
    with pytest.raises(UserError, match="contains 5 characters, but a key needs 32 or more"):
        read_pseudonyms(pseudonym_places(settings, "p"))
    key.write_text(KEY + "\n")
    assert read_pseudonyms(pseudonym_places(settings, "p")).of("A") == Pseudonyms(KEY).of("A")
    raw = {"data": {"source": "clinical", "pseudonyms": True, "pseudonym_key": "nowhere"}, "clinical": {"table": "x"}}
    with pytest.raises(UserError, match=r"data\.pseudonym_key: no file nowhere"):
        load({**raw, "endpoints": {"dm": {"column": "dm"}}, "fusion": {"modalities": ["clinical"]}}, check_files)


def test_inputs_when_pseudonyms_are_on_then_all_map_an_id_alike_and_any_id_is_usable(tmp_path):
    names = Pseudonyms(KEY, tmp_path / "map.csv")
    wanted = names.of("Smith, J. 7")
    (tmp_path / "c.csv").write_text('patient_id,age\n"Smith, J. 7",60\n"Smith, J. 7",61\n B ,62\n')
    clinical = read_clinical(tmp_path / "c.csv", ClinicalSettings(), names.of)
    assert clinical.table.index.tolist() == [names.of("B")]
    assert [problem.patient for problem in clinical.problems] == [wanted]
    (tmp_path / "s.csv").write_text('patient_id,image,primary,nodes\n" Smith, J. 7",a.nii,b.nii,\n')
    sheet = read_sheet(tmp_path / "s.csv", pseudonym=names.of)
    assert list(sheet.rows) == [wanted]
    assert sheet.problems == []
    (tmp_path / "f.csv").write_text('patient_id,x\n"Smith, J. 7",1\n')
    assert read_feature_ids(tmp_path / "f.csv", names.of) == ({wanted}, [])
    from metaswin.features.importing import read_wide

    assert read_wide(str(tmp_path / "f.csv"), [wanted], names.of)[0].index.tolist() == [wanted]


def test_hints_when_ids_differ_by_writing_then_pseudonyms_are_compared_by_their_ids():
    names = Pseudonyms(KEY)
    a, b, c = (names.of(identifier) for identifier in ("HN-007", "hn7", "HN-8"))
    assert same_but_writing(a, [b, c], names.names) == [b]
    assert same_but_writing(a, [b, c]) == []
    assert alike([a, b, c], names.names) == {a: [b], b: [a]}


def test_user_masks_when_pseudonyms_are_on_then_the_pattern_takes_the_original_id(tmp_path, monkeypatch):
    from metaswin.imaging import organ_masks

    asked = []
    monkeypatch.setattr(organ_masks, "read_mask", lambda path, grid, findings: asked.append(path))
    write_json(tmp_path / "P-1.json", {"patient": "P-1", "id": "Smith 7"})

    class Settings:
        pattern, organs = "masks/{patient}/{organ}.nii.gz", ["brain"]

    class Request:
        patient, source, grid, findings = "P-1", tmp_path / "P-1.json", None, None
        settings = type("Organs", (), {"masks": Settings})

    organ_masks._from_files(Request)
    Request.source = None
    organ_masks._from_files(Request)
    assert asked == ["masks/Smith 7/brain.nii.gz", "masks/P-1/brain.nii.gz"]
