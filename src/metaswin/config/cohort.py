"""Settings of the chapter cohort: data source, ingest, clinical table, endpoints, quality control and folds."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from metaswin.core.settings import Settings


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


Role = Literal["id", "baseline", "treatment", "outcome", "time", "ignore"]
Value = str | int | float | bool


class ColumnSettings(Settings):
    """Role and reading of one column.

    `kind` is guessed from the values when not given. `range` (numeric columns) is what is plausible, in the
    column's unit; a value outside is reported. `values` (categories) are those that may occur, compared trimmed and
    case-folded. Other values are reported and treated as missing. `map` replaces raw values before anything else
    reads them.
    """

    role: Role
    kind: Literal["numeric", "category"] | None = None
    range: tuple[float, float] | None = None
    values: list[Value] = []
    map: dict[str, str | float] = {}


class ClinicalSettings(Settings):
    """The clinical table.

    `columns` gives each column a role; ``column: baseline`` is short for ``column: {role: baseline}``. Columns
    not named are ignored. Only `baseline` columns, and `treatment` ones when named in a set, may predict.
    `sets` are named lists of predictors; without any, all baseline columns make the set ``baseline``.
    """

    table: str | None = None
    id: str = "patient_id"
    na_values: list[str] = ["", "NA", "N/A", "nan", "NaN"]
    date_format: str = "%Y-%m-%d"
    columns: dict[str, ColumnSettings] = {}
    sets: dict[str, list[str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _expand_roles(cls, values):
        columns = values.get("columns") if isinstance(values, dict) else None
        if isinstance(columns, dict):
            expanded = {name: {"role": c} if isinstance(c, str) else c for name, c in columns.items()}
            values = {**values, "columns": expanded}
        return values


class CohortSettings(Settings):
    """Who belongs to the cohort.

    `include` and `exclude` map a column to the values that stay or leave, compared trimmed and case-folded.
    `baseline_metastasis` does the same for M1 at baseline, with a code of its own.
    """

    include: dict[str, list[Value]] = {}
    exclude: dict[str, list[Value]] = {}
    baseline_metastasis: dict[str, list[Value]] = {}


class EventSource(Settings):
    """Where an event is recorded: `column` with `positive` values, and its day (`time`, days) or `date` column.

    Values listed in `uncertain` take the patient out of this endpoint, with a code.
    """

    column: str
    positive: list[Value] = [1]
    uncertain: list[Value] = []
    time: str | None = None
    date: str | None = None


class EndpointSettings(Settings):
    """One endpoint: a plain 0/1 column, or an event within a horizon.

    With `horizon_days` = h: event = first DM in (0, h]; non-event = followed at least h without DM, or died
    before h without DM (`deaths: nonevent`; `exclude` leaves them out); lost before h = unknown.
    Dates count from the column `start`. `followup` is the column with the last follow-up (days or date).
    """

    column: str | None = None
    positive: list[Value] = [1]
    horizon_days: float | None = Field(default=None, gt=0)
    start: str | None = None
    event: EventSource | None = None
    death: EventSource | None = None
    followup: str | None = None
    deaths: Literal["nonevent", "exclude"] = "nonevent"

    @model_validator(mode="after")
    def _one_kind(self):
        if (self.column is None) == (self.event is None):
            raise ValueError("give either `column` (a plain 0/1 column) or `event` (with `horizon_days`)")
        if self.event is not None and (self.horizon_days is None or self.followup is None):
            raise ValueError("an endpoint with `event` needs `horizon_days` and `followup`")
        return self

    @property
    def columns(self) -> list[str]:
        """Every column of the clinical table that the endpoint reads, but the start of treatment."""
        sources = [source for source in (self.event, self.death) if source is not None]
        found = [self.column, self.followup]
        found += [column for source in sources for column in (source.column, source.time, source.date)]
        return [column for column in found if column is not None]


class QcSettings(Settings):
    """What a problem of the data does.

    With ``exclude`` a patient with a problem is left out with a code, and the others go on. With ``stop`` the run ends
    after the quality control, all problems told at once, if an endpoint has too few events for its folds or anyone
    would be left out whom the configuration does not leave out itself; the latter again after the images are converted.
    With ``exclude`` the page tells of too few events where there are fewer than the least number of folds, two.
    """

    on_problem: Literal["exclude", "stop"] = "exclude"


LEAST_FOLDS = 3


class FoldsSettings(Settings):
    """Folds of the cross-validation (the paper: five, once).

    The other folds of an outer fold are its inner folds: a fit that leaves out one of them too scores its rows. These
    scores serve the deep score, the penalty, the recalibration and the threshold. `stratify` names baseline columns of
    the clinical table (the tumour subtype) that folds are balanced by, besides the label. With three folds an inner fit
    learns from a single fold, and the run warns.
    """

    k: int = Field(default=5, ge=LEAST_FOLDS)
    repeats: int = Field(default=1, ge=1)
    stratify: list[str] = []
