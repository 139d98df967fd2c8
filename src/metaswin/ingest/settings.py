"""Settings of the data source and of ingest."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from metaswin.settings import Settings


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"{pattern!r} is no regular expression ({error}); a literal ( or [ is written \\( or \\["
        ) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class DataSettings(Settings):
    """Where the data come from.

    `source` is the way in: ``dicom`` (a folder tree), ``nifti`` (a sheet of image and mask files), ``features``
    (a ready table of features) or ``clinical`` (the clinical table alone). Only the path of that way is read;
    with ``ingest.tumor_source: nifti`` the masks of DICOM images come from `sheet` too.
    Relative paths here and in `clinical.table` start at `root` (default: the working directory).
    With `pseudonyms` a keyed hash stands for every study id outside the private folder; its key is
    `pseudonym_key`, a text file, or is made there.
    """

    source: Literal["dicom", "nifti", "features", "clinical"] | None = None
    root: str | None = None
    dicom: str | None = None
    sheet: str | None = None
    features: str | None = None
    pseudonyms: bool = False
    pseudonym_key: str | None = None


class RoiSettings(Settings):
    """ROI-name patterns per role: regular expressions, case ignored, matched against the whole trimmed name.

    A name that matches `exclude` is never a lesion. Several matching ROIs of one role are joined. A name that
    matches both roles is taken as primary, with a warning.
    """

    primary: list[Pattern] = ["gtv", "gtv[-_ ]?p.*", "gtv[-_ ]?t.*", "primary.*"]
    nodes: list[Pattern] = ["gtv[-_ ]?n.*", "gtv[-_ ]?ln.*", "node.*"]
    exclude: list[Pattern] = []


class SeriesChoiceSettings(Settings):
    """Preferences among the CT series of a patient, applied after contour reference and date.

    `prefer_kernel` are regular expressions in order of preference, matched against the whole kernel name;
    `contrast` is ``any`` (no preference), ``prefer`` or ``avoid``. `treatment_start` names the clinical column
    with the date (in ``clinical.date_format``) on or before which the CT must lie; CTs after it are excluded.
    Among equals the CT nearest before the start of treatment is taken, without that date the earliest.
    """

    prefer_kernel: list[Pattern] = []
    contrast: Literal["any", "prefer", "avoid"] = "any"
    treatment_start: str | None = None


class IngestSettings(Settings):
    """How patients, images and contours are found in the folder tree.

    `tumor_source` says who draws the tumour: ``rtstruct`` and ``seg`` (DICOM objects of the tree), ``nifti``
    (masks named in ``data.sheet``) or ``nnunet`` (a trained model, see ``images.nnunet``).
    """

    patient_id: Literal["header", "folder"] = "header"
    patient_folder_level: int = Field(
        default=1, ge=1, description="with patient_id: folder, its depth below data.dicom"
    )
    tumor_source: Literal["rtstruct", "seg", "nifti", "nnunet"] = "rtstruct"
    rois: RoiSettings = RoiSettings()
    series: SeriesChoiceSettings = SeriesChoiceSettings()
