"""Define the settings of the chapter cohort: data source, ingest, clinical table, endpoints, quality control, folds."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from metaswin.core.settings import Settings


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"{pattern!r} is not a regular expression ({error}); write a literal ( or [ as \\( or \\["
        ) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class DataSettings(Settings):
    """The data source and its paths."""

    source: Literal["dicom", "nifti", "features", "clinical"] | None = Field(
        default=None,
        description="Data source. dicom: a folder tree. nifti: a sheet of image and mask files. features: a given "
        "table of features. clinical: the clinical table alone. Only the path of this source is read.",
    )
    root: str | None = Field(
        default=None,
        description="Folder at which relative paths of this section and of clinical.table start. null: the working "
        "directory.",
    )
    dicom: str | None = Field(
        default=None,
        description="Folder tree with CT and RTSTRUCT or SEG. File names and extensions are ignored.",
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
        description="Replace every study id outside the private folder by a keyed hash such as P-0123456789ab. "
        "private/pseudonyms.csv contains the ids.",
    )
    pseudonym_key: str | None = Field(
        default=None,
        description="Text file with a secret of 32 characters or more. null: private/pseudonyms.key, which is "
        "generated on the first run.",
    )


class RoiSettings(Settings):
    """ROI names of each role, as regular expressions for the whole trimmed name, ignoring case.

    A name that matches both roles is used as primary, with a warning.
    """

    primary: list[Pattern] = Field(
        default=["gtv", "gtv[-_ ]?p.*", "gtv[-_ ]?t.*", "primary.*"],
        description="Primary tumour. Several matching ROIs are joined. Names that also match nodes are used as "
        "primary, with a warning.",
    )
    nodes: list[Pattern] = Field(
        default=["gtv[-_ ]?n.*", "gtv[-_ ]?ln.*", "node.*"],
        description="Lymph nodes. Several matching ROIs are joined.",
    )
    exclude: list[Pattern] = Field(default=[], description="Names that are never a lesion.")


class SeriesChoiceSettings(Settings):
    """Choice among several CTs of a patient, after the reference of the contours and the date before treatment."""

    prefer_kernel: list[Pattern] = Field(
        default=[],
        description="Regular expressions for the whole name of the kernel, ignoring case, in order of preference.",
    )
    contrast: Literal["any", "prefer", "avoid"] = Field(
        default="any", description="Contrast medium. any: no preference."
    )
    treatment_start: str | None = Field(
        default=None,
        description="Clinical column with the date of the start of treatment, in clinical.date_format. Later CTs are "
        "excluded. Among equal CTs, the one nearest before this date is used. Without this column, the earliest is "
        "used.",
    )


class IngestSettings(Settings):
    """Identification of patients, images and contours in the folder tree."""

    patient_id: Literal["header", "folder"] = Field(
        default="header",
        description="Source of the study id. header: PatientID of the DICOM header. folder: the name of a folder.",
    )
    patient_folder_level: int = Field(
        default=1, ge=1, description="Depth of that folder in data.dicom, with patient_id: folder."
    )
    tumor_source: Literal["rtstruct", "seg", "nifti", "nnunet"] = Field(
        default="rtstruct",
        description="Source of the tumour contours. rtstruct and seg: DICOM objects in the folder tree. nifti: masks "
        "in data.sheet. nnunet: a trained model, see images.nnunet.",
    )
    rois: RoiSettings = RoiSettings()
    series: SeriesChoiceSettings = SeriesChoiceSettings()


Role = Literal["id", "baseline", "treatment", "outcome", "time", "ignore"]
Value = str | int | float | bool


def _or_role(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of the columns accept the short form, a role alone."""
    role = {"type": "string", "enum": list(get_args(Role))}
    schema["additionalProperties"] = {"anyOf": [role, schema["additionalProperties"]]}


class ColumnSettings(Settings):
    """Role and reading of one column of the clinical table."""

    role: Role = Field(description="Use of the column.")
    column: str | None = Field(
        default=None,
        description="Name of the column in the table. null: the same name as here. All other settings use the name "
        "that is given here.",
    )
    kind: Literal["numeric", "category"] | None = Field(default=None, description="null: guessed from the values.")
    range: tuple[float, float] | None = Field(
        default=None,
        description="Plausible range of a numeric column, in the unit of the column. Values outside are reported.",
    )
    values: list[Value] = Field(
        default=[],
        description="Allowed categories, compared trimmed and ignoring case. Others are reported and treated as "
        "missing.",
    )
    map: dict[str, str | float] = Field(
        default={},
        description="Replacements of raw values, which are compared trimmed and ignoring case. They are applied before "
        "any other step. A replacement in clinical.na_values makes the value missing.",
    )
    factor: float = Field(
        default=1.0,
        gt=0,
        description="Factor by which each number of the column is multiplied to change its unit, such as .001 (mm³ to "
        "cm³) or 30.4375 (months to days).",
    )


class ClinicalSettings(Settings):
    """The clinical table."""

    table: str | None = Field(default=None, description="CSV, UTF-8.")
    id: str = Field(default="patient_id", description="Column with the study id.")
    na_values: list[str] = Field(default=["", "NA", "N/A", "nan", "NaN"], description="Values that mean missing.")
    date_format: str = Field(default="%Y-%m-%d", description="Format of dates, as in Python's strptime.")
    columns: dict[str, ColumnSettings] = Field(
        default={},
        description="Settings or role of each column. Other columns are ignored. Only baseline columns, and treatment "
        "columns that a set names, can be predictors.",
        examples=[
            {
                "age": {"role": "baseline", "kind": "numeric", "range": [18, 110]},
                "sex": "baseline",
                "hpv": {"role": "baseline", "values": ["negative", "positive"]},
            }
        ],
        json_schema_extra=_or_role,
    )
    sets: dict[str, list[str]] = Field(
        default={},
        description="Named sets of predictors. Each set is also a feature set. Without any set, all baseline columns "
        "form the set baseline.",
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
        """Reject a column that is read under two names, because an outcome could be a predictor under one of them."""
        names = {}
        for name, source in self.sources.items():
            if self.id.strip() in (name, source) and name != source:
                raise ValueError(f"columns.{name}.column: the column with the study id must be named only in `id`")
            if source in names:
                raise ValueError(
                    f"columns: {names[source]} and {name} both read the column {source!r} of the table; give each a "
                    "different `column`, or delete one of them"
                )
            names[source] = name
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Name of each configured column: its name in the table, both trimmed."""
        return {name.strip(): (column.column or name).strip() for name, column in self.columns.items()}


class CohortSettings(Settings):
    """Selection of patients by values of clinical columns, which are compared trimmed and ignoring case."""

    include: dict[str, list[Value]] = Field(default={}, description="Column: values of included patients.")
    exclude: dict[str, list[Value]] = Field(default={}, description="Column: values of excluded patients.")
    baseline_metastasis: dict[str, list[Value]] = Field(
        default={},
        description="Column: values of M1 at baseline, such as { m_stage: [M1] }. These patients are excluded with a "
        "separate code.",
    )
    review: str | None = Field(
        default=None,
        description="File of the decisions made in `metaswin view`, private/review.csv of the run. Patients marked "
        "for exclusion are excluded with a separate code (docs/viewer.md).",
    )


class EventSource(Settings):
    """Columns of an event."""

    column: str = Field(description="Column that states whether the event occurred.")
    positive: list[Value] = Field(default=[1], description="Values that mean that it occurred.")
    uncertain: list[Value] = Field(
        default=[], description="Values that exclude the patient from this endpoint, with a code."
    )
    time: str | None = Field(default=None, description="Column with the time to the event (days).")
    date: str | None = Field(default=None, description="Column with the date of the event, instead of time.")


class EndpointSettings(Settings):
    """One endpoint: a plain 0/1 column, or an event within a horizon.

    With `horizon_days` = h, an event is a first DM in (0, h]. A non-event is a patient who was followed for at least h
    without DM, or who died before h without DM (`deaths: nonevent`; excluded with `deaths: exclude`). The label of a
    patient who was censored before h is unknown.
    """

    column: str | None = Field(default=None, description="A plain 0/1 column. Give either this or event.")
    positive: list[Value] = Field(default=[1], description="Values of column that mean an event.")
    horizon_days: float | None = Field(
        default=None,
        gt=0,
        description="Horizon h (days). Event: DM in (0, h]. Non-event: followed for h or longer without DM, or died "
        "before. Unknown: censored before h.",
    )
    start: str | None = Field(default=None, description="Column with the date from which times are counted.")
    event: EventSource | None = Field(default=None, description="The event. It needs horizon_days and followup.")
    death: EventSource | None = Field(default=None, description="Death before the event, with the settings of event.")
    followup: str | None = Field(default=None, description="Column with the last follow-up (days, or a date).")
    deaths: Literal["nonevent", "exclude"] = Field(
        default="nonevent", description="Label of a death before h without DM. exclude: the patient is excluded."
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
        """Every column of the clinical table that the endpoint reads, except the start of treatment."""
        sources = [source for source in (self.event, self.death) if source is not None]
        found = [self.column, self.followup]
        found += [column for source in sources for column in (source.column, source.time, source.date)]
        return [column for column in found if column is not None]


class QcSettings(Settings):
    """Quality control, which lists all problems in results/cohort/qc.html before any long computation (target qc).

    With ``exclude``, the page reports too few events if there are fewer than the smallest allowed number of folds.
    """

    on_problem: Literal["exclude", "stop"] = Field(
        default="exclude",
        description="exclude: patients with a problem are excluded with a code, and the run continues with the "
        "others. stop: the run stops after the quality control or after the conversion of the images if a patient that "
        "the configuration includes would be excluded, or if an endpoint has too few events for its folds. It then "
        "lists all problems.",
    )


LEAST_FOLDS = 3


class FoldsSettings(Settings):
    """Folds of the cross-validation. The paper uses five folds, once.

    The inner folds of an outer fold are the other outer folds. A fit that also leaves out one of them predicts its
    rows. These predictions are used for the deep score, the penalty, the recalibration and the threshold.
    """

    by: str | None = Field(
        default=None,
        description="Leave one centre out, by a baseline or treatment column of the clinical table, such as the "
        "centre, or by manufacturer (of the CT, with DICOM). Each level of the column is one fold. Levels with fewer "
        "than ten events or non-events share a fold. k, repeats and stratify must then have their defaults, which are "
        "not used.",
    )
    k: int = Field(
        default=5,
        ge=LEAST_FOLDS,
        description="Number of folds. With three folds, an inner fit is trained on a single fold, and the run warns.",
    )
    repeats: int = Field(default=1, ge=1, description="Number of times the cohort is divided into folds.")
    stratify: list[str] = Field(
        default=[],
        description="Baseline columns of the clinical table by which folds are balanced in addition to the label, such "
        "as the site or subtype of the tumour.",
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
