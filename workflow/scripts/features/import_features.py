"""Bring the user's table of features into the form of the extracted one."""

from metaswin.cohort.pseudonyms import read_pseudonyms
from metaswin.core.joblog import job
from metaswin.features.importing import import_features

with job(snakemake.log[0]):
    import_features(
        table=snakemake.input.table,
        used=snakemake.input.used,
        features=snakemake.output.features,
        problems=snakemake.output.problems,
        details=snakemake.params.details,
        pseudonym=read_pseudonyms(snakemake.params.pseudonyms).of,
    )
