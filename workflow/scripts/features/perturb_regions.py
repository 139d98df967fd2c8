"""Features of one patient's tumour and rings when the mask is perturbed."""

from metaswin.config.features import StabilitySettings
from metaswin.config.imaging import RegionsSettings
from metaswin.core.joblog import job
from metaswin.features.perturbation import PerturbationInputs, perturb_patient
from metaswin.radiomics.settings import RadiomicsSettings

with job(snakemake.log[0]):
    perturb_patient(
        patient=snakemake.wildcards.patient,
        inputs=PerturbationInputs(
            ct=snakemake.input.ct,
            regions=snakemake.input.regions,
            facts=snakemake.input.facts,
            organs=snakemake.input.organs,
            names=snakemake.input.names,
            status=snakemake.input.status,
        ),
        table=snakemake.output.table,
        status=snakemake.output.status,
        settings=StabilitySettings(**snakemake.params.settings),
        radiomics=RadiomicsSettings(**snakemake.params.radiomics),
        regions=RegionsSettings(**snakemake.params.regions),
        details=snakemake.params.details,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
