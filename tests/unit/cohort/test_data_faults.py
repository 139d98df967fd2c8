"""Every fault of hospital data, a simulated patient each: what is told of it, and the right tumour where it can be."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from browser import executable, launched, opened

import metaswin
from metaswin.cli import main
from metaswin.cohort.index import index_dicom
from metaswin.cohort.match import CohortPaths, match_patients
from metaswin.cohort.quality_control import QcInputs, QcOutputs, make_qc
from metaswin.config.cohort import (
    ClinicalSettings,
    CohortSettings,
    DataSettings,
    EndpointSettings,
    IngestSettings,
    QcSettings,
)
from metaswin.config.imaging import ImagesSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json
from metaswin.core.status import read_status
from metaswin.imaging.convert import convert_patient
from metaswin.simulate.data_faults.write import DATA_FAULTS, configuration, write_data_faults

LIBRARY = Path(metaswin.__file__).parent


@dataclass
class Checked:
    """A cohort of faults that went through ingest and the quality control, in a folder of its own."""

    folder: Path
    problems: pd.DataFrame
    went_on: set[str]

    def told(self, patient: str) -> set[tuple[str, bool]]:
        mine = self.problems[self.problems["patient"] == patient]
        return set(mine[["code", "excludes"]].itertuples(index=False, name=None))

    def convert(self, patient: str) -> tuple[set[tuple[str, bool]], dict | None]:
        """What the conversion tells, and the facts of the image where there is one."""
        out = self.folder / "images" / patient
        source = self.folder / f"sources/{patient}.json"
        convert_patient(
            source, out / "ct.nii.gz", out / "tumor.nii.gz", out / "image.json", out / "status.json",
            ImagesSettings(), self.folder / "details",
        )  # fmt: skip
        status = read_status(out / "status.json")
        told = {(warning.code, False) for warning in status.warnings}
        if status.problem is not None:
            return told | {(status.problem.code, True)}, None
        return told, read_json(out / "image.json")


def checked(folder: Path, source: str) -> Checked:
    config = configuration(source)
    clinical = ClinicalSettings(**{**config["clinical"], "table": str(folder / "clinical.csv")})
    index_dicom(
        folder / "dicom", folder / "series.parquet", folder / "index.parquet", folder / "index_problems.parquet",
        folder / "details",
    )  # fmt: skip
    paths = CohortPaths(
        folder / "patients.parquet", folder / "ingest.parquet", folder / "choice.parquet", folder / "sources",
        folder / "clinical.parquet", folder / "outcomes.parquet", folder / "details",
    )  # fmt: skip
    endpoints = {name: EndpointSettings(**values) for name, values in config["endpoints"].items()}
    data = DataSettings(source="dicom", dicom=str(folder / "dicom"))
    match_patients(
        data, clinical, CohortSettings(), endpoints, IngestSettings(**config["ingest"]), ImagesSettings(), paths,
        folder / "index.parquet", folder / "index_problems.parquet",
    )  # fmt: skip
    inputs = QcInputs(
        paths.patients, paths.problems, paths.choice, paths.clinical, paths.outcomes, folder / "series.parquet"
    )
    outputs = QcOutputs(folder / "qc.html", folder / "qc.parquet", folder / "qc.csv")
    make_qc(inputs, outputs, clinical, endpoints, QcSettings(), 0.95, 5, folder / "details")
    went_on = set(pd.read_parquet(paths.patients)["patient"])
    return Checked(folder, pd.read_parquet(folder / "qc.parquet"), went_on)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data_faults")
    assert main(["simulate", "--data-faults", "--out", str(folder)]) == 0
    return {source: checked(folder / source, source) for source in DATA_FAULTS}


ALL = [(source, fault) for source, faults in DATA_FAULTS.items() for fault in faults]


@pytest.mark.parametrize(("source", "fault"), ALL, ids=[fault.name for _, fault in ALL])
def test_fault_when_simulated_then_its_codes_are_reported_and_the_tumour_is_correct(cohorts, source, fault):
    cohort = cohorts[source]
    told, facts = cohort.told(fault.patient), None
    if fault.patient in cohort.went_on:
        told_later, facts = cohort.convert(fault.patient)
        told |= told_later
    assert told == set(fault.codes.items())
    left_out = any(excludes for excludes in fault.codes.values())
    if facts is not None and fault.volume:
        assert facts["volumes_mm3"]["primary"] == 64 * 4.0 * 4.0 * 3.0
        assert facts["kernel"] == "B30f"
    assert facts is not None or left_out or fault.name == "id-zeros"


def test_lesion_when_drawn_by_brute_force_then_its_volume_is_that_of_the_faults():
    from metaswin.simulate.data_faults.case import GRID, RADIUS

    centres = [[o + s * i for i in range(n)] for o, s, n in zip(GRID.origin, GRID.spacing, GRID.size, strict=True)]
    inside = [x * x + y * y + z * z < RADIUS**2 for x in centres[0] for y in centres[1] for z in centres[2]]
    assert sum(inside) == 64


def test_ids_when_they_differ_by_writing_then_each_side_suggests_the_other(cohorts):
    problems = cohorts["rtstruct"].problems.set_index(["patient", "code"])
    assert "FAULT-id-case: the same patient?" in problems.loc[("fault-id-case", "no-image"), "action"]
    assert "fault-id-case: the same patient?" in problems.loc[("FAULT-id-case", "no-clinical-row"), "action"]
    assert problems.loc[("FAULT-id-zeros-007", "alike-ids"), "found"] == "an id like FAULT-id-zeros-7"


def test_no_matching_roi_when_reported_then_names_patterns_and_nearest_are_private(cohorts):
    folder = cohorts["rtstruct"].folder
    [detail] = read_json(folder / "details/ingest/FAULT-no-matching-roi.json")
    assert "names found: 'External', 'GVTp left'" in detail["private"]
    assert "patterns tried for primary: 'gtv', " in detail["private"]
    assert "nearest for primary: 'GVTp left'" in detail["private"]
    for name in ("qc.html", "qc.csv"):
        assert "GVTp left" not in (folder / name).read_text()


def test_category_when_unknown_then_its_value_is_private(cohorts):
    folder = cohorts["rtstruct"].folder
    assert read_json(folder / "details/clinical/FAULT-sex-unknown-category.json")[0]["private"] == "sex = Femal"
    assert "Femal<" not in (folder / "qc.html").read_text()


def test_page_when_made_then_it_is_offline_with_every_problem_and_no_path_or_uid(cohorts):
    cohort = cohorts["rtstruct"]
    html = (cohort.folder / "qc.html").read_text()
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert str(cohort.folder) not in html
    assert "2.25." not in html
    for row in cohort.problems.itertuples():
        assert row.code in html
        assert row.patient in html
    pd.testing.assert_frame_equal(
        pd.read_csv(cohort.folder / "qc.csv", keep_default_na=False), cohort.problems, check_dtype=False
    )


def test_page_when_opened_in_a_browser_then_quiet_sortable_and_no_wider_than_a_phone(cohorts):
    executable()
    path = cohorts["rtstruct"].folder / "qc.html"
    with launched() as browser:
        desktop, phone = opened(browser, path), opened(browser, path, width=390, height=800)
        heading = desktop.page.locator("#codes thead button", has_text="Patients")
        heading.click()
        first = desktop.page.locator("#codes tbody tr td:nth-child(2)").first.inner_text()
        width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert (desktop.complaints, desktop.requests) == ([], [])
    problems = cohorts["rtstruct"].problems
    assert first == str(problems[problems["patient"] != ""].groupby("code")["patient"].nunique().max())
    assert width <= 390


def test_data_faults_when_the_folder_is_not_empty_then_refused(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="not empty"):
        write_data_faults(tmp_path)
    assert (tmp_path / "mine").exists()


def test_table_when_whole_columns_are_wrong_then_reported_once(cohorts):
    problems = cohorts["rtstruct"].problems
    for code in ("all-missing", "post-baseline-name", "no-id"):
        assert problems[problems["code"] == code]["patient"].tolist() == [""]


# Where codes are given: function → position of the code among its arguments.
PLACES = {"BadData": 0, "warn": 0, "problem": 1, "_warning": 1, "_note": 1, "leave": 1, "Problem": 2, "_excluded": 2}
FILES = [
    "cohort",
    "core/slices.py",
    *(f"imaging/{name}.py" for name in ["ct", "contours", "convert", "dicom", "nifti", "nnunet", "rtstruct", "seg"]),
]
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


def codes_of(path: Path) -> set[str]:
    """Every code that a module gives: arguments of `PLACES` and keys of dictionaries named CODES or WARNINGS."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        places: list[ast.AST] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in PLACES and len(node.args) > PLACES[name]:
                places = [node.args[PLACES[name]]]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") in ("CODES", "WARNINGS"):
                places = [key for key in node.value.keys if key is not None]
        for place in places:
            texts = [inner.value for inner in ast.walk(place) if isinstance(inner, ast.Constant)]
            found |= {text for text in texts if isinstance(text, str) and CODE.fullmatch(text)}
    return found


@pytest.fixture(scope="module")
def documented(repository):
    """Rows of docs/data-faults.md: cells of each, without the headings."""
    lines = (repository / "docs/data-faults.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if len(row) == 4 and row[0] not in ("fault", "---")]


def test_documentation_when_codes_are_given_then_the_table_has_each_and_no_other(documented):
    modules = [
        path for name in FILES for path in ([LIBRARY / name] if name.endswith(".py") else (LIBRARY / name).glob("*.py"))
    ]
    given = set().union(*map(codes_of, modules))
    written = {code for row in documented for code in re.findall(r"`([^`]+)`", row[2])}
    assert written == given
    assert len(given) > 70


def test_documentation_when_read_then_named_tests_exist_and_every_fault_is_named(documented, repository):
    texts = "".join(path.read_text() for path in (repository / "tests").rglob("test_*.py"))
    functions = set(re.findall(r"^def (test_\w+)", texts, flags=re.MULTILINE))
    faults = {fault.name for _, fault in ALL}
    named = {name for row in documented for name in re.findall(r"`([^`]+)`", row[3])}
    assert named <= functions | faults
    assert faults - {"none"} <= named
    assert all(row[3] for row in documented)
