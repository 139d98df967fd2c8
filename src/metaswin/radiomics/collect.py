"""One table of features and one of problems out of those of all patients."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metaswin.cohort.used import of_used, patient_of, used_patients
from metaswin.errors import UserError
from metaswin.files import write_table
from metaswin.problems import public_table
from metaswin.status import read_status

if TYPE_CHECKING:
    import pyarrow as pa


def collect_features(tables: Sequence[str], used: str, path: str) -> None:
    """Join the tables of the used patients into one, sorted by patient and region; the schema metadata are kept.

    Raises
    ------
    UserError
        If the tables were made with different settings or versions of the library.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [pq.read_table(table) for table in of_used(tables, used).values()]
    made = sorted({_made_with(part) for part in parts})
    if len(made) > 1:
        raise UserError(
            f"the patients' features were made in {len(made)} different ways: {'; '.join(map(str, made))}; "
            "make them all again (--forcerun extract_radiomics)"
        )
    joined = pa.concat_tables([part.replace_schema_metadata(None) for part in parts]).to_pandas()
    write_table(path, joined.sort_values(["patient", "region"], ignore_index=True), dict(made[0]))


def collect_problems(statuses: Sequence[str], used: str, path: str) -> None:
    """Write what the stages of `statuses` found in the used patients, sorted by patient, stage and code.

    An exclusion passed on from an earlier stage is in the table of exclusions already.
    """
    patients, problems = set(used_patients(used)), []
    for status in (read_status(path) for path in statuses if patient_of(path) in patients):
        found = [*([status.problem] if status.problem else []), *status.warnings]
        problems += [problem for problem in found if problem.stage == status.stage]
    write_table(path, public_table(sorted(problems, key=lambda p: (p.patient, p.stage, p.code, p.found))))


def _made_with(table: "pa.Table") -> tuple[tuple[str, str], ...]:
    metadata = table.schema.metadata
    return tuple((key, metadata[key.encode()].decode()) for key in ("engine", "settings_hash", "version"))
