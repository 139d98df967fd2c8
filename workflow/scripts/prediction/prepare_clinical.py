"""Give every patient to be predicted a row of the clinical table."""

from metaswin.cohort.pseudonyms import read_map
from metaswin.config.cohort import ClinicalSettings
from metaswin.core.joblog import job
from metaswin.prediction.new_data import ClinicalInputs, prepare_clinical

with job(snakemake.log[0]):
    prepare_clinical(
        # An input that the data source does not have is an empty list.
        ClinicalInputs(**{name: path or None for name, path in snakemake.input.items()}),
        snakemake.output.clinical,
        ClinicalSettings(**snakemake.params.clinical),
        snakemake.params.also,
        read_map(snakemake.params.pseudonyms["map"]) if snakemake.params.pseudonyms else None,
    )
