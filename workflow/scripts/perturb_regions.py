"""Features of one patient's tumour and rings when the mask is perturbed."""

from metaswin.joblog import job
from metaswin.radiomics.settings import RadiomicsSettings
from metaswin.regions.settings import RegionsSettings
from metaswin.stability.patient import perturb_patient
from metaswin.stability.settings import StabilitySettings

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
