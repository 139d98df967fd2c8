# The checked configuration, and helpers that all rule files use.
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
from metaswin.running.jobs import Recorder
from metaswin.running.owner import hold, is_mine, live_owner
from metaswin.running.scheduler import lift_default_rate_limit
from pathlib import Path
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
import time

try:
    CONFIG = load(config, check_files if workflow.is_main_process else None)
    # Name → published signature, as plain values. They are parameters, so a change of a file reruns dependent jobs.
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
EMBEDDING = CONFIG.embedding.table is not None or (IMAGES and CONFIG.embedding.model is not None)
# A network of another study computes embeddings from the same patches.
PATCHES = DEEP or (IMAGES and CONFIG.embedding.reads_patches)
ENDPOINTS = list(CONFIG.endpoints)
REPEATS = range(CONFIG.folds.repeats)
DETAILS = f"{CONFIG.output.private}/details"
PSEUDONYMS = pseudonym_places(CONFIG.data, CONFIG.output.private)


# The running process holds a lock, which the operating system releases when the process ends. `metaswin run` may
# already hold it.
onstart:
    if workflow.is_main_process and not is_mine(Path.cwd()) and not hold(Path.cwd()):
        raise WorkflowError(f"{Path.cwd()} is in use: {live_owner(Path.cwd())} runs the workflow there.")
    lift_default_rate_limit(workflow.scheduler, version("snakemake"))
    if workflow.is_main_process:  # what `metaswin run` displays and `metaswin status` reads
        logger.addHandler(Recorder(Path.cwd(), workflow))


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
    """Return the settings of one stage as plain values; they are parameters, so a change reruns dependent jobs."""
    value = CONFIG
    for key in name.split("."):
        value = value[key] if isinstance(value, dict) else getattr(value, key)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def code(script):
    """Return the version of the library code that a script uses; it is a parameter, so a change reruns its jobs."""
    return code_version(Path(workflow.basedir) / "workflow" / "scripts" / f"{script}.py")


def repeat_folder(rest):
    """Return a path in the folder of one repeat."""
    return results(f"models/{{endpoint}}/{{variant}}/r{{repeat}}/{rest}")


def fold_folder(rest):
    """Return a path in the folder of one outer fold."""
    return repeat_folder(f"fold-{{fold}}/{rest}")


def fit_folder(rest):
    """Return a path in the folder of one fit, which is named by the folds that it leaves out."""
    return repeat_folder(f"{{fit}}/{rest}")


def final_folder(rest):
    """Return a path in the folder of the fit that is trained on all training rows of an outer fold."""
    return repeat_folder(f"{fit_name('{fold}')}/{rest}")


def of_outer_fits(rest):
    """Return an input function: that path for the fits of an outer fold, the final fit first."""
    return lambda wildcards: expand(
        fit_folder(rest), fit=outer_fits(int(wildcards.fold), len(fold_numbers())), **wildcards
    )


def memory(mb):
    """Return the memory of a job in MB; with `retries` in the profile, each attempt gets twice as much."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)


def fold_numbers():
    """Return the numbers of the outer folds; with `folds.by`, their number depends on the planned patients."""
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
    """Return an input function: that path for every repeat and fold of the run or of a control.

    The path is in one of the folders above. The endpoints are those given, otherwise the endpoint of the rule, or all if
    the rule has none.
    """

    def paths_of(wildcards):
        named = endpoints or wildcards.get("endpoint") or ENDPOINTS
        return expand(path, endpoint=named, variant=variant, repeat=REPEATS, fold=fold_numbers(), **others)

    return paths_of


def each_for_its_folds(paths):
    """Return an input function: paths of `every_repeat`, repeated for every fold, in the order of `every_fold`."""
    return lambda wildcards: [path for path in paths for _ in fold_numbers()]


def every_repeat(path, endpoints=None, variant="as-is", **wildcards):
    """Return that path for every endpoint and repeat of the run or of a control."""
    return expand(path, endpoint=endpoints or ENDPOINTS, variant=variant, repeat=REPEATS, **wildcards)


# Input functions, which give patients and paths to the rules.


def cohort_inputs(wildcards):
    """Return the clinical table and the input of the data source: the index, the sheet or the table of features."""
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
    """Return the file that describes the images of one patient."""
    return f"{checkpoints.build_cohort.get().output.sources}/{wildcards.patient}.json"


def planned_patients():
    """Return the patients that have their own jobs: those with data and an outcome; some may be excluded later."""
    import pandas as pd

    patients = checkpoints.build_cohort.get().output.patients
    return pd.read_parquet(patients, columns=["patient"])["patient"].tolist()


def of_planned(*paths):
    """Return an input function: these paths for every planned patient; empty without images.

    Rules that collect tables also read ``cohort/used.parquet``, and use only the files of the used patients.
    """

    def paths_of(wildcards):
        return expand([results(path) for path in paths], patient=planned_patients()) if IMAGES else []

    return paths_of


def organ_batches():
    """Return the batches of the planned patients: name → patients, and patient → name."""
    patients = Path(checkpoints.build_cohort.get().output.patients)
    return _organ_batches(patients.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _organ_batches(written):
    found = batches(planned_patients(), CONFIG.organs.totalsegmentator.batch_size)
    return found, {patient: name for name, patients in found.items() for patient in patients}


def of_batch(path):
    """Return an input function: this path for every patient of a batch of organs."""
    return lambda wildcards: expand(results(path), patient=organ_batches()[0][wildcards.batch])


def batch_of(wildcards):
    """Return the batch in which the organs of a patient are segmented."""
    return results(f"organs/batches/{organ_batches()[1][wildcards.patient]}.json")


def folds_of(wildcards):
    """Return the folds of a variant: those of the run, except for networks trained on a permuted outcome."""
    if wildcards.variant == "permuted":
        return results(f"controls/{wildcards.endpoint}/folds.parquet")
    return results(f"folds/{wildcards.endpoint}.parquet")


def features_of(wildcards):
    """Return the radiomics of a variant."""
    if wildcards.variant == "shuffled":
        return results("features/radiomics-shuffled.parquet")
    return results("features/radiomics.parquet")


def deep_of(wildcards):
    """Return the deep scores for the feature sets of a fold; the controls also use the deep scores of the run."""
    path = fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")
    return expand(path, **{**wildcards, "variant": "as-is"})[0]


def problems_of_features(wildcards):
    """Return the tables of problems of the features and of the table of embeddings, as far as the run has them."""
    return [
        *([results("features/problems.parquet")] if HAS_RADIOMICS else []),
        *([results("features/embedding_problems.parquet")] if CONFIG.embedding.table is not None else []),
    ]


def perturbed_patients():
    """Return the patients whose masks are perturbed."""
    return subset(planned_patients(), CONFIG.stability.patients, CONFIG.seed)


def of_harmonisation(ending):
    """Return a file of the harmonisation of the repeat for the rules that read it; empty without harmonisation."""
    return repeat_folder(f"harmonisation.{ending}") if HARMONISED else []


def first_repeat(path, variant):
    """Return an input function: that path for every fold of the first repeat of the rule's endpoint."""
    return lambda wildcards: expand(path, endpoint=wildcards.endpoint, variant=variant, repeat=0, fold=fold_numbers())


def training_mb(wildcards, input, attempt):
    """Return the memory (MB) for training a network."""
    needed = memory_mb(
        wildcards.backbone,
        CONFIG.deep,
        size=CONFIG.patches.size,
        channels=4 + len(CONFIG.patches.organ_groups),  # with the narrow one of the network
        patients=len(patients_with_patch(input.patches)),
    )
    return memory(needed)(wildcards, attempt)


def figure_outputs(ending):
    return [results(f"report/figures/{name}.{ending}") for name in figure_files(evidence_of_endpoints())]


def evidence_of_endpoints():
    """Return for each endpoint which analyses its report has in addition to the predictions."""
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
    """Return the templates, checklists and measured coverage that the report reads; a change reruns the report."""
    folders = [LIBRARY / folder for folder in ("core/templates", "report/templates", "report/checklists")]
    coverage = [LIBRARY / "evaluation" / name for name in ("coverage.json", "survival_coverage.json")]
    return sorted(map(str, [*(path for folder in folders for path in folder.iterdir()), *coverage]))


def workflow_files():
    """The Snakefile, the rules and the lock, which describe a run; they come with metaswin and make no job run again."""
    root = Path(workflow.basedir)
    rules = sorted((root / "workflow/rules").glob("*.smk"))
    return [str(path) for path in (root / "Snakefile", *rules, root / "requirements.txt")]


def labelled_figure(path):
    kind, endpoint = Path(path).stem.split("-", 1)
    labels = {"endpoint": endpoint, "figure": FIGURES[kind][1]}
    return report(path, caption=f"../report/{kind}.rst", category="Figures", labels=labels)


def labelled_table(name):
    kind, _, endpoint = Path(name).stem.partition("-")
    labels = {"endpoint": endpoint or "all", "table": kind.replace("_", " ")}
    return report(results(f"report/tables/{name}"), caption="../report/table.rst", category="Tables", labels=labels)


def plan_patients(inputs, outputs, settings, log):
    """Write the planned patients, or stop the run with one message that names the page."""
    from metaswin.core.files import write_text
    from metaswin.cohort.gate import GateInputs, pass_gate
    from metaswin.config.cohort import QcSettings

    try:
        gate = {name: path for name, path in inputs.items() if name != "centres"}
        pass_gate(GateInputs(**gate), outputs.patients, outputs.sources, QcSettings(**settings))
    except UserError as error:
        write_text(log, f"{time.strftime('%F %T')} ERROR {error}\n")
        raise WorkflowError(f"The quality control stopped the run. Open {inputs.page}") from None
