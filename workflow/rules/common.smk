# The checked configuration and the helpers every rule file uses.
from functools import lru_cache
from functools import partial
from importlib.metadata import version
from metaswin.cohort.fits import fit_name, outer_fits
from metaswin.cohort.pseudonyms import pseudonym_places
from metaswin.cohort.review import KEPT, NONE, excluded_by_review
from metaswin.config.load import load
from metaswin.config.signatures import FOLDER, load_signatures
from metaswin.core.errors import UserError
from metaswin.core.provenance import ROOT as LIBRARY
from metaswin.core.provenance import code_version
from metaswin.imaging.batches import batches
from metaswin.report.files import FIGURES, figure_files, portable, table_files
from metaswin.running.input_files import check_files
from metaswin.running.owner import hold, is_mine, live_owner
from metaswin.running.scheduler import lift_default_rate_limit
from pathlib import Path
from snakemake.exceptions import WorkflowError
import time

try:
    CONFIG = load(config, check_files if workflow.is_main_process else None)
    # Name → published signature, as plain values: a parameter, so that an edited file re-runs what depends on it.
    SIGNATURES = {
        name: signature.model_dump(mode="json")
        for name, signature in load_signatures(CONFIG.signatures, Path(workflow.basedir) / FOLDER).items()
    }
    EXCLUDED_BY_REVIEW = excluded_by_review(CONFIG.cohort.review)
except UserError as error:
    raise WorkflowError(str(error)) from None

IMAGES = CONFIG.data.source in ("dicom", "nifti")
HAS_RADIOMICS = CONFIG.data.source != "clinical"
DEEP = IMAGES and CONFIG.deep.enabled
ENDPOINTS = list(CONFIG.endpoints)
REPEATS = range(CONFIG.folds.repeats)
DETAILS = f"{CONFIG.output.private}/details"
PSEUDONYMS = pseudonym_places(CONFIG.data, CONFIG.output.private)


# The running process holds a lock, which the operating system releases when the process ends; `metaswin run` took it before.
onstart:
    if workflow.is_main_process and not is_mine(Path.cwd()) and not hold(Path.cwd()):
        raise WorkflowError(f"{Path.cwd()} is in use: {live_owner(Path.cwd())} runs the workflow there.")
    lift_default_rate_limit(workflow.scheduler, version("snakemake"))


wildcard_constraints:
    patient=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    endpoint="|".join(ENDPOINTS) or "none",
    variant="as-is|leaky|shuffled|permuted",
    repeat=r"\d+",
    fold=r"\d+",
    backbone="swin|resnet|densenet",
    fit=r"without(-\d+){1,2}",
    batch=r"b[01]*",


def results(path):
    return f"{CONFIG.output.results}/{path}"


def private(path):
    return f"{CONFIG.output.private}/{path}"


def logs(path):
    return f"{CONFIG.output.logs}/{path}.log"


def benchmarks(path):
    return results(f"benchmarks/{path}.tsv")


def section(name):
    """Settings of one stage as plain values: a parameter, so that an edit re-runs what depends on it."""
    value = CONFIG
    for key in name.split("."):
        value = value[key] if isinstance(value, dict) else getattr(value, key)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def code(script):
    """What stands for the library code behind a script: a parameter, so that a change re-runs what depends on it."""
    return code_version(Path(workflow.basedir) / "workflow" / "scripts" / f"{script}.py")


def repeat_folder(rest):
    """Path below the folder of one repeat."""
    return results(f"models/{{endpoint}}/{{variant}}/r{{repeat}}/{rest}")


def fold_folder(rest):
    """Path below the folder of one outer fold."""
    return repeat_folder(f"fold-{{fold}}/{rest}")


def fit_folder(rest):
    """Path below the folder of one fit, named by the folds that it leaves out."""
    return repeat_folder(f"{{fit}}/{rest}")


def final_folder(rest):
    """Path below the folder of the fit that learns from all training rows of an outer fold."""
    return repeat_folder(f"{fit_name('{fold}')}/{rest}")


def of_outer_fits(rest):
    """Input function: that path for the fits of an outer fold, the final one first."""
    return lambda wildcards: expand(
        fit_folder(rest), fit=outer_fits(int(wildcards.fold), len(fold_numbers())), **wildcards
    )


def memory(mb):
    """Memory of a job in MB; a profile with `retries` gives a job that was killed for it twice as much."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)


def fold_numbers():
    """Numbers of the outer folds; with `folds.by` the planned patients decide how many centres make a fold."""
    if CONFIG.folds.by is None:
        return range(CONFIG.folds.k)
    checkpoints.build_cohort.get()
    centres = Path(results("cohort/centres.parquet"))
    return range(_folds_of_centres(centres, centres.stat().st_mtime_ns))


@lru_cache(maxsize=1)
def _folds_of_centres(centres, written):
    from metaswin.cohort.folds import number_of_folds

    return number_of_folds(centres)


def every_fold(path, endpoints=None, variant="as-is", **others):
    """Input function: that path (of one of the folders above) for every repeat and fold of the run, or of a control.

    It is for these endpoints, otherwise for the rule's own endpoint, or for all where the rule has none.
    """

    def paths_of(wildcards):
        named = endpoints or wildcards.get("endpoint") or ENDPOINTS
        return expand(path, endpoint=named, variant=variant, repeat=REPEATS, fold=fold_numbers(), **others)

    return paths_of


def each_for_its_folds(paths):
    """Input function: paths of `every_repeat`, each once for every fold, in the order of `every_fold`."""
    return lambda wildcards: [path for path in paths for _ in fold_numbers()]


def every_repeat(path, endpoints=None, variant="as-is", **wildcards):
    """That path for every endpoint and repeat of the run, or of a control."""
    return expand(path, endpoint=endpoints or ENDPOINTS, variant=variant, repeat=REPEATS, **wildcards)


# Input functions: who is there, and where what a rule reads lies. They stand apart from the rules that use them.


def cohort_inputs(wildcards):
    """The clinical table, and what the way in has: the index, the sheet or the table of features."""
    inputs = {"clinical": CONFIG.clinical.table} if CONFIG.clinical.table else {}
    if CONFIG.data.source == "dicom":
        inputs["index"] = rules.index_dicom.output.private_series
        inputs["index_problems"] = rules.index_dicom.output.problems
    if CONFIG.data.source == "nifti" or (CONFIG.data.source == "dicom" and CONFIG.ingest.tumor_source == "nifti"):
        inputs["sheet"] = CONFIG.data.sheet
    if CONFIG.data.source == "features":
        inputs["features"] = CONFIG.data.features
    return inputs


def patient_source(wildcards):
    """What to convert for one patient."""
    return f"{checkpoints.build_cohort.get().output.sources}/{wildcards.patient}.json"


def planned_patients():
    """Patients that have jobs of their own: with data and an outcome; some may be excluded later."""
    import pandas as pd

    patients = checkpoints.build_cohort.get().output.patients
    return pd.read_parquet(patients, columns=["patient"])["patient"].tolist()


def of_planned(*paths):
    """Input function: these paths for every planned patient; nothing without images.

    Rules that collect read ``cohort/used.parquet`` too, and take from these files those of the used patients.
    """

    def paths_of(wildcards):
        return expand([results(path) for path in paths], patient=planned_patients()) if IMAGES else []

    return paths_of


def organ_batches():
    """Batches of the planned patients: name → patients, and patient → name."""
    patients = Path(checkpoints.build_cohort.get().output.patients)
    return _organ_batches(patients.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _organ_batches(written):
    found = batches(planned_patients(), CONFIG.organs.totalsegmentator.batch_size)
    return found, {patient: name for name, patients in found.items() for patient in patients}


def of_batch(path):
    """Input function: this path for every patient of a batch of organs."""
    return lambda wildcards: expand(results(path), patient=organ_batches()[0][wildcards.batch])


def batch_of(wildcards):
    """The batch in which the organs of a patient are drawn."""
    return results(f"organs/batches/{organ_batches()[1][wildcards.patient]}.json")


def folds_of(wildcards):
    """Folds of a variant: those of the run, but for networks trained on a permuted outcome."""
    if wildcards.variant == "permuted":
        return results(f"controls/{wildcards.endpoint}/folds.parquet")
    return results(f"folds/{wildcards.endpoint}.parquet")


def features_of(wildcards):
    """Radiomics of a variant."""
    if wildcards.variant == "shuffled":
        return results("features/radiomics-shuffled.parquet")
    return results("features/radiomics.parquet")


def deep_of(wildcards):
    """Deep scores that a fold's feature sets join: those of the run, which the controls with feature sets of their own leave alone."""
    path = fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")
    return expand(path, **{**wildcards, "variant": "as-is"})[0]


def perturbed_patients():
    """The patients whose masks are perturbed."""
    return subset(planned_patients(), CONFIG.stability.patients, CONFIG.seed)


def of_harmonisation(ending):
    """A file of the repeat's harmonisation, for every rule that reads it; nothing where none is asked for."""
    return repeat_folder(f"harmonisation.{ending}") if HARMONISED else []


def first_repeat(path, variant):
    """Input function: that path for every fold of the first repeat of the rule's endpoint."""
    return lambda wildcards: expand(path, endpoint=wildcards.endpoint, variant=variant, repeat=0, fold=fold_numbers())


def training_mb(wildcards, input, attempt):
    """Memory (MB) of training a network."""
    needed = memory_mb(
        wildcards.backbone,
        CONFIG.deep,
        size=CONFIG.patches.size,
        channels=3 + len(CONFIG.patches.organ_groups),
        patients=len(patients_with_patch(input.patches)),
    )
    return memory(needed)(wildcards, attempt)


def figure_outputs(ending):
    return [results(f"report/figures/{name}.{ending}") for name in figure_files(evidence_of_endpoints())]


def evidence_of_endpoints():
    """For each endpoint what its report has beside the predictions."""
    survival = SURVIVAL_ENDPOINTS if SURVIVAL else []
    return {
        endpoint: [
            "permuted",
            *(["deep"] if DEEP else []),
            *(["survival"] if endpoint in survival else []),
            *(["centres"] if BY_CENTRE else []),
        ]
        for endpoint in ENDPOINTS
    }


def kept_predictions(wildcards):
    """Predictions of an earlier run, which `metaswin view` kept when a decision was made after them."""
    late = any(decision["predictions"] != NONE for decision in EXCLUDED_BY_REVIEW.values())
    return results(KEPT) if late and Path(results(KEPT)).is_file() else []


def report_resources():
    """Templates, lists of items and measured coverage that the report reads: an edit makes it anew."""
    folders = [LIBRARY / folder for folder in ("core/templates", "report/templates", "report/checklists")]
    coverage = [LIBRARY / "evaluation" / name for name in ("coverage.json", "survival_coverage.json")]
    return sorted(map(str, [*(path for folder in folders for path in folder.iterdir()), *coverage]))


def labelled_figure(path):
    kind, endpoint = Path(path).stem.split("-", 1)
    labels = {"endpoint": endpoint, "figure": FIGURES[kind][1]}
    return report(path, caption=f"../report/{kind}.rst", category="Figures", labels=labels)


def labelled_table(name):
    kind, _, endpoint = Path(name).stem.partition("-")
    labels = {"endpoint": endpoint or "all", "table": kind.replace("_", " ")}
    return report(results(f"report/tables/{name}"), caption="../report/table.rst", category="Tables", labels=labels)


def plan_patients(inputs, outputs, settings, log):
    """Write the planned patients, or end the run with one message that names the page."""
    from metaswin.core.files import write_text
    from metaswin.cohort.gate import GateInputs, pass_gate
    from metaswin.config.cohort import QcSettings

    try:
        gate = {name: path for name, path in inputs.items() if name != "centres"}
        pass_gate(GateInputs(**gate), outputs.patients, outputs.sources, QcSettings(**settings))
    except UserError as error:
        write_text(log, f"{time.strftime('%F %T')} ERROR {error}\n")
        raise WorkflowError(f"The quality control ends the run. Open {inputs.page}") from None
