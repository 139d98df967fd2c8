"""Which rows of the clinical table belong to the cohort."""

from metaswin.clinical.settings import CohortSettings
from metaswin.clinical.table import STAGE, ClinicalTable, matches
from metaswin.problems import Problem


def apply_cohort(clinical: ClinicalTable, settings: CohortSettings) -> tuple[list[str], list[Problem]]:
    """Apply `cohort.include`, `cohort.exclude` and `cohort.baseline_metastasis`.

    Returns
    -------
    stay : list of str
        Study ids that stay, sorted.
    problems : list of Problem
        One for each patient who leaves: ``baseline-metastasis``, ``excluded-by-config`` or ``not-included``, the
        first that applies.
    """
    table = clinical.table
    reasons: dict[str, Problem] = {}

    def leave(mask: list[bool], code: str, column: str, expected: str, setting: str) -> None:
        for patient, hit, value in zip(table.index, mask, table[column], strict=True):
            if hit and patient not in reasons:
                found = f"{column} = {'missing' if value is None else value}"
                action = f"nothing, if that is meant; otherwise change {setting}"
                reasons[patient] = Problem(patient, STAGE, code, found, expected, action)

    for column, values in settings.baseline_metastasis.items():
        setting = f"cohort.baseline_metastasis.{column}"
        expected = f"no distant metastasis at baseline ({column} not in {_listed(values)})"
        leave(matches(table[column.strip()], values), "baseline-metastasis", column.strip(), expected, setting)
    for column, values in settings.exclude.items():
        setting = f"cohort.exclude.{column}"
        hits = matches(table[column.strip()], values)
        leave(hits, "excluded-by-config", column.strip(), f"{column} not in {_listed(values)}", setting)
    for column, values in settings.include.items():
        hits = [not hit for hit in matches(table[column.strip()], values)]
        setting = f"cohort.include.{column}"
        leave(hits, "not-included", column.strip(), f"{column} in {_listed(values)}", setting)
    stay = [patient for patient in table.index if patient not in reasons]
    return stay, [reasons[patient] for patient in sorted(reasons)]


def _listed(values: list) -> str:
    return ", ".join(map(str, values))
