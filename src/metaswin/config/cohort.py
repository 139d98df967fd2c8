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
            f"{pattern!r} is not a regular expression ({error}); a literal ( or [ is written \\( or \\["
        ) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class DataSettings(Settings):
    """Where the data come from."""

    source: Literal["dicom", "nifti", "features", "clinical"] | None = Field(
        default=None,
        description="Data source. dicom: a folder tree; nifti: a sheet of image and mask files; features: a ready "
        "table "
        "of features; clinical: the clinical table alone. Only the path of this source is read.",
    )
    root: str | None = Field(
        default=None,
        description="Folder where relative paths of this section and of clinical.table start; null: the working "
        "directory.",
    )
    dicom: str | None = Field(
        default=None,
        description="Folder tree with CT and RTSTRUCT or SEG; the names of files and their extensions do not matter.",
    )
    sheet: str | None = Field(
        default=None,
        description="CSV with the columns patient_id, image, primary and nodes, which name NIfTI files. It also gives "
        "the masks of DICOM images with ingest.tumor_source: nifti.",
    )
    features: str | None = Field(
        default=None,
        description="CSV or Parquet with one row per patient: the columns patient_id and <region>__<feature>.",
    )
    pseudonyms: bool = Field(
        default=False,
        description="Write a keyed hash such as P-0123456789ab in place of every study id outside the private folder; "
        "private/pseudonyms.csv says whose it is.",
    )
    pseudonym_key: str | None = Field(
        default=None,
        description="Text file with a secret of 32 characters or more; null: private/pseudonyms.key, which is made at "
        "the first run.",
    )


class RoiSettings(Settings):
    """ROI names of each role: regular expressions over the whole trimmed name, case ignored.

    A name that matches both roles is taken as primary, with a warning.
    """

    primary: list[Pattern] = Field(
        default=["gtv", "gtv[-_ ]?p.*", "gtv[-_ ]?t.*", "primary.*"],
        description="Primary tumour; several matching ROIs are joined. It also takes names that match nodes, with a "
        "warning.",
    )
    nodes: list[Pattern] = Field(
        default=["gtv[-_ ]?n.*", "gtv[-_ ]?ln.*", "node.*"],
        description="Lymph nodes; several matching ROIs are joined.",
    )
    exclude: list[Pattern] = Field(default=[], description="Names that are never a lesion.")


class SeriesChoiceSettings(Settings):
    """Choice among several CTs of a patient: referenced by the contour, dated before treatment, then these."""

    prefer_kernel: list[Pattern] = Field(
        default=[],
        description="Regular expressions over the whole name of the kernel, case ignored, in order of preference.",
    )
    contrast: Literal["any", "prefer", "avoid"] = Field(
        default="any", description="Contrast medium; any: no preference."
    )
    treatment_start: str | None = Field(
        default=None,
        description="Clinical column with the date of the start of treatment, in clinical.date_format. Later CTs are "
        "excluded; among equals the CT nearest before it is taken, without this column the earliest.",
    )


class IngestSettings(Settings):
    """How patients, images and contours are found in the folder tree."""

    patient_id: Literal["header", "folder"] = Field(
        default="header",
        description="Source of the study id. header: PatientID of the DICOM header; folder: the name of a folder.",
    )
    patient_folder_level: int = Field(
        default=1, ge=1, description="Depth of that folder below data.dicom, with patient_id: folder."
    )
    tumor_source: Literal["rtstruct", "seg", "nifti", "nnunet"] = Field(
        default="rtstruct",
        description="Source of the tumour contours. rtstruct and seg: DICOM objects of the tree; nifti: masks of "
        "data.sheet; "
        "nnunet: a trained model, see images.nnunet.",
    )
    rois: RoiSettings = RoiSettings()
    series: SeriesChoiceSettings = SeriesChoiceSettings()


Role = Literal["id", "baseline", "treatment", "outcome", "time", "ignore"]
Value = str | int | float | bool


class ColumnSettings(Settings):
    """Role and reading of one column of the clinical table."""

    role: Role = Field(description="What the column is used for.")
    column: str | None = Field(
        default=None,
        description="Name of the column in the table; null: the name that it has here. All other settings use the name "
        "that it has here.",
    )
    kind: Literal["numeric", "category"] | None = Field(default=None, description="null: guessed from the values.")
    range: tuple[float, float] | None = Field(
        default=None,
        description="Plausible values of a numeric column, in the column's unit; values outside are reported.",
    )
    values: list[Value] = Field(
        default=[],
        description="Categories that may occur, compared trimmed and without case; others are reported and treated as "
        "missing.",
    )
    map: dict[str, str | float] = Field(
        default={},
        description="Raw value (compared trimmed and without case): its replacement, before anything else reads it. A "
        "replacement in clinical.na_values makes the value missing.",
    )
    factor: float = Field(
        default=1.0,
        gt=0,
        description="Multiplies each number of the column to change its unit, such as .001 (mm³ to cm³) or 30.4375 "
        "(months to days).",
    )


class ClinicalSettings(Settings):
    """The clinical table."""

    table: str | None = Field(default=None, description="CSV, UTF-8.")
    id: str = Field(default="patient_id", description="Column with the study id.")
    na_values: list[str] = Field(default=["", "NA", "N/A", "nan", "NaN"], description="Values that count as missing.")
    date_format: str = Field(default="%Y-%m-%d", description="Format of dates, as in Python's strptime.")
    columns: dict[str, ColumnSettings] = Field(
        default={},
        description="Name of a column: its settings, or its role alone. Columns not named are ignored. Only baseline "
        "columns may predict, and treatment columns that a set names.",
        examples=[
            {
                "age": {"role": "baseline", "kind": "numeric", "range": [18, 110]},
                "sex": "baseline",
                "hpv": {"role": "baseline", "values": ["negative", "positive"]},
            }
        ],
    )
    sets: dict[str, list[str]] = Field(
        default={},
        description="Named sets of predictors, each a feature set of its own. Without any, all baseline columns "
        "make the set baseline.",
        examples=[{"paper": ["age", "sex", "smoking_status", "alcohol"]}],
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_roles(cls, values):
        columns = values.get("columns") if isinstance(values, dict) else None
        if isinstance(columns, dict):
            expanded = {name: {"role": c} if isinstance(c, str) else c for name, c in columns.items()}
            values = {**values, "columns": expanded}
        return values

    @model_validator(mode="after")
    def _one_name_each(self):
        """A column that is read under two names could predict under one of them although it is an outcome."""
        names = {}
        for name, source in self.sources.items():
            if self.id.strip() in (name, source) and name != source:
                raise ValueError(f"columns.{name}.column: the column with the study id is named in `id` alone")
            if source in names:
                raise ValueError(
                    f"columns: {names[source]} and {name} both read the column {source!r} of the table; give each its "
                    "own `column`, or delete one of them"
                )
            names[source] = name
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Name of each configured column: its name in the table, both trimmed."""
        return {name.strip(): (column.column or name).strip() for name, column in self.columns.items()}


class CohortSettings(Settings):
    """Who belongs to the cohort, by values of clinical columns, compared trimmed and without case."""

    include: dict[str, list[Value]] = Field(default={}, description="Column: values of patients that stay.")
    exclude: dict[str, list[Value]] = Field(default={}, description="Column: values of patients that leave.")
    baseline_metastasis: dict[str, list[Value]] = Field(
        default={},
        description="Column: values of M1 at baseline, such as { m_stage: [M1] }; these patients leave with a code of "
        "their own.",
    )
    review: str | None = Field(
        default=None,
        description="File of the decisions made in `metaswin view`, private/review.csv of the run; patients marked "
        "for exclusion leave with a code of their own (docs/viewer.md).",
    )


class EventSource(Settings):
    """Where an event is recorded."""

    column: str = Field(description="Column that states whether it happened.")
    positive: list[Value] = Field(default=[1], description="Values that mean it did.")
    uncertain: list[Value] = Field(
        default=[], description="Values that exclude the patient from this endpoint, with a code."
    )
    time: str | None = Field(default=None, description="Column with the time to the event (days).")
    date: str | None = Field(default=None, description="Column with the date of the event, instead of time.")


class EndpointSettings(Settings):
    """One endpoint: a plain 0/1 column, or an event within a horizon.

    With `horizon_days` = h: event = first DM in (0, h]; non-event = followed at least h without DM, or died
    before h without DM (`deaths: nonevent`; `exclude` leaves them out); censored before h = unknown.
    """

    column: str | None = Field(default=None, description="A plain 0/1 column; give either this or event.")
    positive: list[Value] = Field(default=[1], description="Values of column that mean an event.")
    horizon_days: float | None = Field(
        default=None,
        gt=0,
        description="Horizon h (days). Event: DM in (0, h]; non-event: followed for h or longer without DM, or died "
        "before; censored before h: unknown.",
    )
    start: str | None = Field(default=None, description="Column with the date that dates count from.")
    event: EventSource | None = Field(default=None, description="The event; needs horizon_days and followup.")
    death: EventSource | None = Field(default=None, description="Death before the event; settings as of event.")
    followup: str | None = Field(default=None, description="Column with the last follow-up (days, or a date).")
    deaths: Literal["nonevent", "exclude"] = Field(
        default="nonevent", description="How a death before h without DM is counted; exclude: the patient is excluded."
    )

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
    """Quality control: results/cohort/qc.html lists all problems before any long computation (target qc).

    With ``exclude`` the page tells of too few events where there are fewer than the least number of folds.
    """

    on_problem: Literal["exclude", "stop"] = Field(
        default="exclude",
        description="exclude: patients with a problem are excluded with a code, and the run continues with the "
        "others. stop: the run ends after the quality control or after the conversion of the images and lists all "
        "problems, if a patient that the configuration includes would be excluded, or if an endpoint has too few "
        "events for its folds.",
    )


LEAST_FOLDS = 3


class FoldsSettings(Settings):
    """Folds of the cross-validation; the paper has five, once.

    The other folds of an outer fold are its inner folds: a fit that leaves out one of them too scores its rows. These
    scores serve the deep score, the penalty, the recalibration and the threshold.
    """

    by: str | None = Field(
        default=None,
        description="Leave one centre out: a baseline or treatment column of the clinical table, such as the centre, "
        "or manufacturer (of the CT, with DICOM). Each of its levels is one fold; levels with fewer than ten events or "
        "non-events share a fold. k, repeats and stratify then stay at their defaults, which are not used.",
    )
    k: int = Field(
        default=5,
        ge=LEAST_FOLDS,
        description="Number of folds. With three an inner fit learns from a single fold, and the run warns.",
    )
    repeats: int = Field(default=1, ge=1, description="Number of times the cohort is divided into folds.")
    stratify: list[str] = Field(
        default=[],
        description="Baseline columns of the clinical table that folds are balanced by besides the label, such as the "
        "site or subtype of the tumour.",
    )

    @model_validator(mode="after")
    def _one_way_to_divide(self):
        fields = type(self).model_fields
        given = [name for name in ("k", "repeats", "stratify") if getattr(self, name) != fields[name].default]
        if self.by is not None and given:
            raise ValueError(
                f"the centres of {self.by!r} (folds.by) are the folds, so {' and '.join(given)} cannot be set; "
                f"delete {'it' if len(given) == 1 else 'them'}, or set by to null"
            )
        return self
