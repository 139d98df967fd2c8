"""Define the problem codes of ingest with what was expected and what to do."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from metaswin.core.problems import Problem, save_details

INDEX = "index"
INGEST = "ingest"


class Code(NamedTuple):
    """Store the texts of one code (public, without paths, UIDs and ROI names) and whether it excludes the patient."""

    expected: str
    action: str
    excludes: bool


_FILES = "the other files are used; the private details list the paths"

CODES: dict[str, Code] = {
    # Files and folders (found while indexing).
    "empty-file": Code("files with content", f"copy these files again; {_FILES}", False),
    "truncated-file": Code("complete files", f"copy these files again; {_FILES}", False),
    "unreadable-file": Code("readable DICOM files", f"check permissions, or copy these files again; {_FILES}", False),
    "unreadable-folder": Code("readable folders", f"check the folder's permissions; {_FILES}", False),
    "undecodable-name": Code("file names in UTF-8", f"rename the files or folders; {_FILES}", False),
    "duplicate-file": Code(
        "each image once",
        "no action needed, because the first copy is used; remove the others to avoid this warning",
        False,
    ),
    # Patient of a file.
    "no-id": Code(
        "a patient id in each file",
        "set PatientID, or ingest.patient_id: folder with ingest.patient_folder_level",
        False,
    ),
    "unusable-id": Code(
        "an id of letters, digits and . _ - that starts with a letter or digit",
        "rename the patient in the images and in the clinical table (the private details contain a suggestion)",
        False,
    ),
    "two-patients-in-folder": Code(
        "one PatientID in a patient's folder", "separate the patients, or set ingest.patient_id: header", True
    ),
    "two-people-one-id": Code("one birth date and sex per patient id", "give each person a separate id", True),
    "same-series-two-patients": Code(
        "each image series under one patient",
        "keep the images under one id, because the same person seems to have two ids",
        True,
    ),
    "same-frame-two-patients": Code(
        "a frame of reference under one patient",
        "check whether the same person has two ids; a person in training and test rows makes the results too good",
        False,
    ),
    "alike-ids": Code(
        "ids that differ by more than case, leading zeros or separators",
        "check whether the same patient has two ids; if so, use one spelling",
        False,
    ),
    # Choice of CT and contours.
    "no-image": Code("images of every patient of the clinical table", "add the images, or correct the id", True),
    "no-clinical-row": Code("a clinical row for every patient with images", "add the row, or correct the id", True),
    "no-ct": Code("a CT series", "add the CT of this patient", True),
    "ct-after-treatment": Code(
        "a CT on or before the start of treatment", "add the pre-treatment CT, or correct the treatment date", True
    ),
    "no-treatment-date": Code(
        "a readable date of treatment start",
        "fill the column of ingest.series.treatment_start in clinical.date_format; the date of the CT was not checked",
        False,
    ),
    "no-contours": Code(
        "a contour set of the kind in ingest.tumor_source", "add the contours, or change ingest.tumor_source", True
    ),
    "no-matching-roi": Code(
        "at least one ROI that matches ingest.rois",
        "add a pattern to ingest.rois; the private details list the names found, the patterns tried and the nearest",
        True,
    ),
    "empty-roi": Code(
        "closed contours in the ROIs that match ingest.rois", "draw the tumour, or check the export", True
    ),
    "empty-roi-left-out": Code(
        "closed contours in every matching ROI", "no action needed if the empty ROIs are leftovers or markers", False
    ),
    "several-rois": Code(
        "one ROI per role", "no action needed if their union is intended; otherwise narrow ingest.rois", False
    ),
    "roi-in-two-roles": Code(
        "ROI names that match one role", "narrow ingest.rois; such an ROI is used as primary", False
    ),
    "several-contour-sets": Code(
        "one contour set with a tumour",
        "no action needed if the newest that fits the chosen CT is intended; otherwise remove the others",
        False,
    ),
    "contours-without-ct": Code(
        "contours that refer to a CT of this patient, by series or frame of reference",
        "add the CT on which the contours were drawn",
        True,
    ),
    "referenced-series-absent": Code(
        "the series to which the contours refer",
        "check that the contours were drawn on this CT, because it was found by its frame of reference",
        False,
    ),
    "contours-of-other-modality": Code(
        "contours drawn on the CT",
        "check the alignment, because the contours were drawn on another modality in the frame of reference of the CT",
        False,
    ),
    "contours-without-reference": Code(
        "contours that refer to their images",
        "check the CT, because a CT of the same study was used",
        False,
    ),
    "contour-images-unmatched": Code(
        "contour references to images of the CT",
        "no action needed, because contours are placed by position; check them if the CT was replaced or resampled",
        False,
    ),
    "mixed-series": Code(
        "one geometry and reconstruction per series",
        "check the choice in ingest/series_choice.parquet, because the series was split into its parts",
        False,
    ),
    # Geometry and values in the headers of the chosen CT. Missing, tilted or uneven slices have the codes of
    # metaswin.core.slices.
    "not-hu": Code("Hounsfield units", "choose the HU series, or export it with its rescale slope and intercept", True),
    "incomplete-header": Code(
        "position, orientation and pixel spacing in every slice",
        "export the series again with complete headers",
        True,
    ),
    "repeated-positions": Code(
        "one slice per position",
        "no action needed for copies, which are ignored; different images at one position exclude the patient later",
        False,
    ),
    "lossy-compression": Code(
        "a CT without lossy compression",
        "export the series without lossy compression, which changes texture features; the patient is included",
        False,
    ),
    "contour-outside-image": Code(
        "contours within the image", "check that contour and CT belong together, or draw the tumour again", True
    ),
    # Tables.
    "unusable-table": Code("tables that can be read", "fix the table, or the setting that names it", False),
    "no-patient": Code(
        "patients with data, a row of the clinical table and an outcome",
        "check the codes of the excluded patients; common reasons are different spellings of ids and settings that "
        "exclude patients",
        False,
    ),
    # Review of the images (`metaswin view`).
    "excluded-by-review": Code(
        "images that the reviewer accepts", "nothing, if that is meant; otherwise change the decision", True
    ),
    "excluded-by-review-late": Code(
        "a decision before predictions exist", "read the report on exclusions after predictions existed", True
    ),
    "excluded-by-review-unblinded": Code(
        "a decision before predictions are known", "read the report on exclusions after predictions existed", True
    ),
    "unknown-reviewed-id": Code(
        "study ids of the clinical table in cohort.review",
        "correct the id in the file (the private details contain it); no patient is excluded by it",
        False,
    ),
    # Sheets.
    "duplicated-row": Code("one row per patient in the sheet or table", "keep one of the rows", True),
    "missing-file": Code("files that exist and can be read", "correct the path in data.sheet, or add the file", True),
    "no-mask": Code(
        "a mask of the primary or of the nodes", "name one in data.sheet, or set ingest.tumor_source: nnunet", True
    ),
    "grid-mismatch": Code("masks on the grid of the image", "resample the mask to its image", True),
    "no-features": Code(
        "a row of features for every patient of the clinical table", "add the row, or correct the id", True
    ),
}


def problem(patient: str, code: str, found: str, private: str = "", stage: str = INGEST, hint: str = "") -> Problem:
    """Create a problem of ingest; `hint` (public) is added to what to do."""
    texts = CODES[code]
    action = f"{texts.action}; {hint}" if hint else texts.action
    return Problem(patient, stage, code, found, texts.expected, action, texts.excludes, private)


def count(number: int, noun: str) -> str:
    """Return a text such as ``1 file``, ``2 files`` or ``3 series``."""
    return f"{number} {noun}" if number == 1 or noun.endswith("s") else f"{number} {noun}s"


def replace_details(problems: Iterable[Problem], details: Path, stage: str) -> None:
    """Write the private parts of `problems`; those of an earlier run of `stage` are removed first."""
    shutil.rmtree(details / stage, ignore_errors=True)
    save_details(problems, details)
