"""Extract the radiomics features of every region of one patient."""

from metaswin.core.joblog import job
from metaswin.features.radiomics import RadiomicsInputs, extract_patient
from metaswin.radiomics.settings import RadiomicsSettings

with job(snakemake.log[0]):
    extract_patient(
        inputs=RadiomicsInputs(
            ct=snakemake.input.ct,
            regions=snakemake.input.regions,
            facts=snakemake.input.facts,
            status=snakemake.input.status,
        ),
        table=snakemake.output.table,
        status=snakemake.output.status,
        settings=RadiomicsSettings(**snakemake.params.settings),
        details=snakemake.params.details,
        threads=snakemake.threads,
    )
