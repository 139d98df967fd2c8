"""Extract the radiomics features of one patient's shuffled regions."""

from metaswin.core.joblog import job
from metaswin.evaluation.shuffle import extract_shuffled
from metaswin.features.radiomics import RadiomicsInputs
from metaswin.radiomics.settings import RadiomicsSettings

with job(snakemake.log[0]):
    extract_shuffled(
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
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
