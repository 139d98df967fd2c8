# Input functions: who is there, and where what a rule reads lies. They stand apart from the rules that use them.
import time
from functools import lru_cache

from metaswin.organs.batches import batches
from metaswin.provenance import ROOT as LIBRARY
from metaswin.report.files import FIGURES, figure_files, portable, table_files


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
    """Deep scores that a fold's arms join: those of the run, which the controls with arms of their own leave alone."""
    path = fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")
    return expand(path, **{**wildcards, "variant": "as-is"})[0]


def tables_of(fits):
    """Input function: features as these fits see them, for rules of the variants; `SETS` of each fit."""
    return lambda wildcards: expand(
        fit_folder("{set}.parquet"), fit=fits(int(wildcards.fold), CONFIG.folds.k), set=SETS, **wildcards
    )


def perturbed_patients():
    """The patients whose masks are perturbed."""
    return subset(planned_patients(), CONFIG.stability.patients, CONFIG.seed)


def of_harmonisation(ending):
    """A file of the repeat's harmonisation, for every rule that reads it; nothing where none is asked for."""
    return repeat_folder(f"harmonisation.{ending}") if HARMONISED else []


def first_repeat(path, variant):
    """That path for every fold of the first repeat of one endpoint."""
    return expand(path, variant=variant, repeat=0, fold=FOLDS, allow_missing=True)


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
        endpoint: ["permuted", *(["deep"] if DEEP else []), *(["survival"] if endpoint in survival else [])]
        for endpoint in ENDPOINTS
    }


def report_resources():
    """Templates, lists of items and measured coverage that the report reads: an edit makes it anew."""
    folders = [LIBRARY / "report" / "templates", LIBRARY / "report" / "checklists"]
    coverage = [LIBRARY / package / "coverage.json" for package in ("evaluation", "survival")]
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
    from metaswin.files import write_text
    from metaswin.qc.gate import pass_gate
    from metaswin.qc.settings import QcSettings

    try:
        pass_gate(dict(inputs.items()), dict(outputs.items()), QcSettings(**settings))
    except UserError as error:
        write_text(log, f"{time.strftime('%F %T')} ERROR {error}\n")
        raise WorkflowError(f"The quality control ends the run. Open {inputs.page}") from None
