"""Settings of the data source and of ingest."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings


class DataSettings(Settings):
    """Where the data come from.

    `source` is the way in: ``dicom`` (a folder tree), ``nifti`` (a sheet of image and mask files), ``features``
    (a ready table of features) or ``clinical`` (the clinical table alone). Only the path of that way is read.
    Relative paths here and in `clinical.table` start at `root` (default: the working directory).
    """

    source: Literal["dicom", "nifti", "features", "clinical"] | None = None
    root: str | None = None
    dicom: str | None = None
    sheet: str | None = None
    features: str | None = None


class RoiSettings(Settings):
    """ROI-name patterns per role: regular expressions, case ignored, matched against the whole name.

    A name that matches `exclude` is never a lesion. Several matching ROIs of one role are joined.
    """

    primary: list[str] = ["gtv", "gtv[-_ ]?p.*", "gtv[-_ ]?t.*", "primary.*"]
    nodes: list[str] = ["gtv[-_ ]?n.*", "gtv[-_ ]?ln.*", "node.*"]
    exclude: list[str] = []


class SeriesChoiceSettings(Settings):
    """Preferences among the CT series of a patient, applied after contour reference and date.

    `prefer_kernel` are regular expressions in order of preference; `contrast` is ``any`` (no preference),
    ``prefer`` or ``avoid``. `treatment_start` names the clinical column with the date (or the day, with
    `diagnosis`-relative tables) on or before which the CT must lie; CTs after it are excluded.
    """

    prefer_kernel: list[str] = []
    contrast: Literal["any", "prefer", "avoid"] = "any"
    treatment_start: str | None = None


class IngestSettings(Settings):
    """How patients, images and contours are found in the folder tree."""

    patient_id: Literal["header", "folder"] = "header"
    patient_folder_level: int = Field(default=1, ge=1, description="with patient_id: folder, its depth below data.dicom")
    tumor_source: Literal["rtstruct", "seg", "nnunet"] = "rtstruct"
    rois: RoiSettings = RoiSettings()
    series: SeriesChoiceSettings = SeriesChoiceSettings()
