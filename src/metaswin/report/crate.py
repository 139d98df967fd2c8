"""Describe a run for others as a Workflow Run RO-Crate: workflow, versions, settings, hashes, times and report.

The profile is Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5), which extends Process Run Crate and
Workflow RO-Crate. The crate contains no path of the machine and no table with one row for each patient. Tables of the
run that stay where they are have their SHA-256 in the crate.
"""

import csv
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.core.errors import UserError
from metaswin.core.files import file_hash, write_json, write_text
from metaswin.report.facts import settings_hash, versions

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # sha256 and others that RO-Crate 1.1 does not define
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
CODE_LICENCE = "https://spdx.org/licenses/Apache-2.0"
LICENCE = "Not stated: ask the authors of the study. The files of the workflow have the licence Apache-2.0."
PLACES = {  # home pages of packages that are not on PyPI under their own name
    "Python": "https://www.python.org/",
    "snakemake": "https://snakemake.github.io/",
}
README = """\
# One run of metaswin

`report/report.html` is the report. `ro-crate-metadata.json` describes the workflow, its versions and settings, the
times and the SHA-256 of each file, as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5).

The crate contains no path of a file and no table with one row for each patient. The report names study ids, or their
pseudonyms with `data.pseudonyms`, and it may show QC images of patients.
"""
MEDIA = {
    ".html": "text/html", ".csv": "text/csv", ".json": "application/json", ".svg": "image/svg+xml",
    ".pdf": "application/pdf", ".md": "text/markdown",
}  # fmt: skip
# Settings with a place of a file, or with a number of a licence.
PRIVATE = (
    ("organs", "masks", "pattern"),
    ("organs", "totalsegmentator", "weights"),
    ("organs", "totalsegmentator", "license"),
    ("images", "nnunet", "model_folder"),
    ("deep", "pretrained"),
    ("embedding", "model"),
    ("embedding", "table"),
    ("predict", "bundle"),
    ("predict", "clinical"),
)


@dataclass(frozen=True)
class CrateInputs:
    """Hold the files that the crate describes.

    Attributes
    ----------
    workflow : list of str
        Files of the workflow: first the Snakefile, in whose folder the others are, the rules and the lock of the
        environment.
    report : str
        The report.
    figures, tables : list of str
        Its figures and tables.
    given : mapping of str to str
        What the user gave as one file: what it is → file.
    computed : list of str
        Tables of the run that are not part of the crate: only their hashes are written.
    """

    workflow: list[str]
    report: str
    figures: list[str]
    tables: list[str]
    given: Mapping[str, str]
    computed: list[str]


def pack_crate(inputs: CrateInputs, output: str | Path, config: Mapping[str, Any]) -> None:
    """Write the crate of a run.

    Parameters
    ----------
    inputs : CrateInputs
    output : path
        Folder of the crate, in the folder of the results; it is written anew. The times of the run are those of the
        benchmark files beside it.
    config : mapping
        The configuration without the locations of the data (`metaswin.report.files.portable`).
    """
    from rocrate.rocrate import ROCrate

    folder, made, results = Path(output), Path(f"{output}.part"), Path(output).parent
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    settings = without_places(config)
    write_json(made / "settings.json", settings)
    write_text(made / "README.md", README)
    begun, ended = times_of(results / "benchmarks")

    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.name = f"Run of metaswin: {settings['report']['title']}"
    crate.description = (
        "One run of the metaswin workflow, which predicts distant metastasis from CT radiomics and clinical data: the "
        "workflow, its versions and settings, hashes of the tables, and the report."
    )
    crate.license = LICENCE
    crate.datePublished = ended

    files = _Files(crate, made)
    files.add(made / "README.md", "README.md")["about"] = crate.root_dataset
    snakefile, *others = [Path(path) for path in inputs.workflow]
    root = snakefile.parent
    workflow = _workflow(crate, files, snakefile)
    workflow["hasPart"] = [files.add(path, path.relative_to(root).as_posix(), license=CODE_LICENCE) for path in others]
    workflow["softwareRequirements"] = list(_software(crate))
    chosen = files.add(made / "settings.json", "settings.json", "Settings of the run, without places of files")
    chosen["identifier"] = settings_hash(settings)
    report = files.add(inputs.report, "report/report.html", "Report of the run")
    evidence = [
        *(files.add(path, f"report/figures/{Path(path).name}") for path in inputs.figures),
        *(files.add(path, f"report/tables/{Path(path).name}") for path in inputs.tables if not _of_patients(path)),
    ]
    given = [_hashed(crate, what, path) for what, path in inputs.given.items()]
    computed = [_hashed(crate, Path(path).relative_to(results).as_posix(), path) for path in inputs.computed]
    workflow["input"] = _parameter(crate, "settings", chosen)
    workflow["output"] = _parameter(crate, "report", report)
    crate.root_dataset["conformsTo"] = list(_profiles(crate))
    _action(crate, workflow, [chosen, *given], [report, *evidence, *computed], begun, ended)

    crate.write(made)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


class _Files:
    """Files of the crate; each is described with its type, size and SHA-256."""

    def __init__(self, crate: "ROCrate", folder: Path) -> None:
        self.crate = crate
        self.folder = folder

    def facts(self, path: str | Path, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "encodingFormat": MEDIA.get(Path(path).suffix, "text/plain"),
            "contentSize": str(Path(path).stat().st_size),
            "sha256": file_hash(path),
        }

    def add(self, path: str | Path, place: str, name: str = "", license: str = "") -> "Entity":
        facts = self.facts(path, name or place) | ({"license": {"@id": license}} if license else {})
        return self.crate.add_file(str(path), place, properties=facts)


def _workflow(crate: "ROCrate", files: _Files, snakefile: Path) -> "Entity":
    workflow = crate.add_workflow(
        str(snakefile), snakefile.name, main=True, lang="snakemake",
        lang_version=versions()["snakemake"], properties=files.facts(snakefile, "metaswin"),
    )  # fmt: skip
    workflow["version"] = versions()["metaswin"]
    workflow["license"] = {"@id": CODE_LICENCE}
    workflow["conformsTo"] = {"@id": BIOSCHEMAS}
    _context(crate, CODE_LICENCE, "CreativeWork", name="Apache License 2.0")
    _context(crate, BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow", version="1.0-RELEASE")
    return workflow


def _software(crate: "ROCrate") -> "Iterator[Entity]":
    for name, version in versions().items():
        if name != "metaswin":
            place = PLACES.get(name, f"https://pypi.org/project/{name}/{version}/")
            yield _context(crate, place, "SoftwareApplication", name=name, softwareVersion=version, url=place)


def _profiles(crate: "ROCrate") -> "Iterator[Entity]":
    for place, name in PROFILES.items():
        yield _context(crate, place, "CreativeWork", name=name, version=place.rsplit("/", 1)[1])


def _parameter(crate: "ROCrate", name: str, example: "Entity") -> "Entity":
    parameter = _context(
        crate, f"#parameter-{name}", "FormalParameter", name=name, additionalType="File",
        conformsTo={"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}, workExample=example,
    )  # fmt: skip
    example["exampleOfWork"] = parameter
    return parameter


def _hashed(crate: "ROCrate", name: str, path: str) -> "Entity":
    """Describe a file that is not part of the crate, because it has one row for each patient."""
    identity = f"#{name.replace(' ', '-')}"
    description = "Not part of the crate: it has one row for each patient or sample."
    return _context(crate, identity, "CreativeWork", name=name, description=description, sha256=file_hash(path))


def _action(
    crate: "ROCrate", workflow: "Entity", objects: "list[Entity]", made: "list[Entity]", begun: str, ended: str
) -> None:
    action = _context(
        crate, "#run", "CreateAction", name="Run of the workflow", instrument=workflow, object=objects, result=made,
        description="From the first job that started to the last that ended; interruptions are included.",
        startTime=begun, endTime=ended, actionStatus="http://schema.org/CompletedActionStatus",
    )  # fmt: skip
    crate.root_dataset["mentions"] = action


def _context(crate: "ROCrate", identity: str, kind: str, **properties: Any) -> "Entity":
    from rocrate.model.contextentity import ContextEntity

    entity = crate.add(ContextEntity(crate, identity, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = value
    return entity


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the value "set" for each setting that names a file of the user."""
    kept = dict(config)
    for *above, last in PRIVATE:
        section = kept
        for key in above:
            section[key] = dict(section[key])
            section = section[key]
        if section[last] is not None:
            section[last] = "set"
    return kept


def _of_patients(table: str) -> bool:
    """Return whether a table names patients."""
    with open(table, encoding="utf-8", newline="") as file:
        return "patient" in next(csv.reader(file), [])


def times_of(benchmarks: Path) -> tuple[str, str]:
    """Return when the first job started and when the last one ended (ISO 8601, UTC), from Snakemake's benchmark files.

    Raises
    ------
    UserError
        If there is no benchmark file.
    """
    begun, ended = [], []
    for path in benchmarks.rglob("*.tsv"):
        lines = path.read_text().splitlines()
        if len(lines) > 1:
            ended.append(path.stat().st_mtime)
            begun.append(ended[-1] - float(lines[1].split("\t")[0]))
    if not ended:
        raise UserError(f"no benchmark file in {benchmarks}; run the workflow, which writes them")
    return _iso(min(begun)), _iso(max(ended))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
