"""Features of one patient's tumour and rings when the mask is perturbed."""

from metaswin.config.features import StabilitySettings
from metaswin.config.imaging import RegionsSettings
from metaswin.core.joblog import job
from metaswin.features.perturbation import perturb_patient
from metaswin.radiomics.settings import RadiomicsSettings

with job(snakemake.log[0]):
    perturb_patient(
        patient=snakemake.wildcards.patient,
        inputs=dict(snakemake.input.items()),
        outputs=dict(snakemake.output.items()),
        settings=StabilitySettings(**snakemake.params.settings),
        radiomics=RadiomicsSettings(**snakemake.params.radiomics),
        regions=RegionsSettings(**snakemake.params.regions),
        details=snakemake.params.details,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
