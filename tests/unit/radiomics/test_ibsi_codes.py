"""IBSI's identifiers against the concepts that pydicom takes from the DICOM standard, and the table of agreement."""

import pandas as pd
from pydicom.sr._concepts_dict import concepts

from metaswin.radiomics.ibsi import CODES, ibsi_code, unit

# Intensity-based statistics have identifiers in IBSI's manual only; these were compared with MIRP (oncoray/mirp).
NOT_IN_DICOM = {
    "Q4LE", "ECT3", "KE2A", "Y12H", "1GSF", "QG58", "8DWT", "84IY", "SALO", "2OJQ", "4FUA", "1128", "N8CA", "5ZWQ",
}  # fmt: skip


def test_codes_when_compared_with_dicom_then_each_is_known_with_its_meaning():
    known = {code: meaning for entry in concepts["IBSI"].values() for code, (meaning, _) in entry.items()}
    own = {code: meaning for code, meaning in CODES.values() if code not in NOT_IN_DICOM}
    assert own == {code: known[code] for code in own}
    assert {code for code, _ in CODES.values()} - set(own) == NOT_IN_DICOM
    assert len({code for code, _ in CODES.values()}) == len(CODES)


def test_codes_when_compared_with_the_consensus_then_all_but_kurtosis_have_one(repository):
    consensus = pd.read_csv(repository / "tests/unit/helpers/ibsi_1.csv")["feature"]
    assert set(CODES) == set(consensus) - {"firstorder_Kurtosis"}


def test_code_when_a_filter_was_applied_then_none_and_no_unit():
    assert ibsi_code("original_firstorder_Mean") == ("Q4LE", "Mean intensity")
    assert unit("original_firstorder_Mean") == "[hnsf'U]"
    assert ibsi_code("log-sigma-1-0-mm-3D_firstorder_Mean") is None
    assert unit("square_firstorder_Mean") == "1"
    assert unit("original_glcm_Idm") == "1"
