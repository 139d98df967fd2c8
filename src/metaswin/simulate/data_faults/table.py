"""Define faults of the clinical table; the images of these patients have no fault."""

from collections.abc import Callable

from metaswin.simulate.data_faults.case import Case, DataFault


def _set(**values: str) -> Callable[[Case], None]:
    def damage(case: Case) -> None:
        case.rows[0].update(values)

    return damage


def duplicated_id(case: Case) -> None:
    case.rows.append({**case.rows[0], "age": "33"})


def id_in_other_case(case: Case) -> None:
    case.rows[0]["patient_id"] = case.patient.lower()


def id_with_leading_zeros(case: Case) -> None:
    """Make two rows for one image folder: the id, and the id with leading zeros."""
    case.rows[0]["patient_id"] = f"{case.patient}-007"
    case.rows.append({**case.rows[0], "patient_id": f"{case.patient}-7"})
    for image in [*case.slices, case.rtstruct]:
        image.PatientID = f"{case.patient}-7"


def no_row(case: Case) -> None:
    case.rows.clear()


def no_id(case: Case) -> None:
    case.rows.append({**case.rows[0], "patient_id": ""})


TABLE = [
    DataFault("duplicated-id", duplicated_id, {"duplicated-id": True}),
    DataFault("id-case", id_in_other_case, {"no-clinical-row": True}),
    DataFault("id-zeros", id_with_leading_zeros),
    DataFault("no-row", no_row, {"no-clinical-row": True}),
    DataFault("no-id", no_id),
    DataFault("age-600", _set(age="600"), {"out-of-range": False}),
    DataFault("age-text", _set(age="sixty"), {"not-a-number": False}),
    DataFault("sex-unknown-category", _set(sex="Femal"), {"unknown-category": False}),
    DataFault("outcome-2", _set(dm="2"), {"invalid-outcome": True}),
    DataFault("no-outcome", _set(dm="0", dm_days="", followup_days=""), {"no-outcome": True}),
    DataFault("negative-time", _set(dm="0", dm_days="", followup_days="-20"), {"negative-time": True}),
    DataFault("event-without-time", _set(dm="1", dm_days=""), {"event-without-time": True}),
    DataFault("event-before-treatment", _set(dm="1", dm_days="-5"), {"dm-before-treatment": True}),
    DataFault("no-treatment-date", _set(treatment_start="spring"), {"no-treatment-date": False}),
]
