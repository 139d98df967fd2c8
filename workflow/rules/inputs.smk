# Input functions: who is there, and where what a rule reads lies. They stand apart from the rules that use them.
from metaswin.report.files import CAPTIONS, figure_files, portable, table_files


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


def found_patients():
    """Patients that ingest lets through."""
    import pandas as pd

    patients = checkpoints.build_cohort.get().output.patients
    return pd.read_parquet(patients, columns=["patient"])["patient"].tolist()


def of_found_patients(*paths):
    """Input function: these paths for every patient of the images way, nothing without images."""

    def paths_of(wildcards):
        if not IMAGES:
            return []
        return expand([results(path) for path in paths], patient=found_patients())

    return paths_of


def used_patients():
    """Patients that go on after the cohort is closed."""
    import pandas as pd

    return pd.read_parquet(checkpoints.close_cohort.get().output.used, columns=["patient"])["patient"].tolist()


def figure_outputs(ending):
    return [results(f"report/figures/{name}.{ending}") for name in figure_files(ENDPOINTS, DEEP)]


def labelled_figure(path):
    kind, endpoint = Path(path).stem.split("-", 1)
    caption = f"../report/{kind}.rst"
    return report(path, caption=caption, category="Figures", labels={"endpoint": endpoint, "figure": CAPTIONS[kind]})
