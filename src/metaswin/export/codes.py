"""SNOMED codes of exported structures."""

import csv
from functools import cache
from importlib import resources

from pydicom.sr.coding import Code

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
PREFIX = "SegmentedProperty"


@cache
def _known() -> dict[str, tuple[Code, Code]]:
    """TotalSegmentator's own table: structure → category and type."""
    text = (resources.files("totalsegmentator") / "resources/totalsegmentator_snomed_mapping.csv").read_text("utf-8")
    return {
        row["Structure"]: tuple(
            Code(
                *(
                    row[f"{PREFIX}{part}CodeSequence.{key}"]
                    for key in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
                )
            )
            for part in ("Category", "Type")
        )
        for row in csv.DictReader(text.splitlines())
    }


def codes(name: str, kind: str) -> tuple[Code, Code]:
    """Category and type of a structure: TotalSegmentator's where it has them, neoplasm for tumours, else tissue."""
    if kind == "tumor":
        return ABNORMAL, NEOPLASM
    return _known().get(name, (ANATOMY, TISSUE))
