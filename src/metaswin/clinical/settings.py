"""Settings of the clinical table, the cohort and the endpoints."""

from typing import Literal

from pydantic import Field, model_validator

from metaswin.settings import Settings

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
