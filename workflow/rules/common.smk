# The checked configuration and the helpers every rule file uses.
from functools import partial
from importlib.metadata import version
from pathlib import Path

from snakemake.exceptions import WorkflowError

from metaswin.config.load import load
from metaswin.errors import UserError
from metaswin.folds.fits import all_fits, fit_name, outer_fits
from metaswin.ingest.pseudonyms import pseudonym_places
from metaswin.provenance import code_version
from metaswin.running.input_files import check_files
from metaswin.running.owner import hold, is_mine, live_owner
from metaswin.running.scheduler import lift_default_rate_limit

try:
    CONFIG = load(config, check_files if workflow.is_main_process else None)
except UserError as error:
    raise WorkflowError(str(error)) from None

IMAGES = CONFIG.data.source in ("dicom", "nifti")
RADIOMICS = CONFIG.data.source != "clinical"
DEEP = IMAGES and CONFIG.deep.enabled
ENDPOINTS = list(CONFIG.endpoints)
REPEATS = range(CONFIG.folds.repeats)
FOLDS = range(CONFIG.folds.k)
FITS = all_fits(CONFIG.folds.k)
DETAILS = f"{CONFIG.output.private}/details"
PSEUDONYMS = pseudonym_places(CONFIG.data, CONFIG.output.private)


# Whoever runs says so in a lock that the system takes back when he dies; `metaswin run` has taken it before.
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
    return lambda wildcards: [
        expand(fit_folder(rest), fit=fit, **wildcards)[0] for fit in outer_fits(int(wildcards.fold), CONFIG.folds.k)
    ]


def memory(mb):
    """Memory of a job in MB; a profile with `retries` gives a job that was killed for it twice as much."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)


def every_fold(path, endpoints=None, variant="as-is", **wildcards):
    """That path (of one of the folders above) for every endpoint, repeat and fold of the run, or of a control."""
    return expand(
        path,
        endpoint=endpoints or ENDPOINTS,
        variant=variant,
        repeat=REPEATS,
        fold=FOLDS,
        **wildcards,
    )


def each_for_its_folds(paths):
    """Paths of `every_repeat`, each once for every fold, in the order of `every_fold`."""
    return [path for path in paths for _ in FOLDS]


def every_repeat(path, endpoints=None, variant="as-is", **wildcards):
    """That path for every endpoint and repeat of the run, or of a control."""
    return expand(path, endpoint=endpoints or ENDPOINTS, variant=variant, repeat=REPEATS, **wildcards)
