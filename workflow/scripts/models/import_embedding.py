"""Bring the user's table of embeddings into the form of the extracted one."""

from metaswin.cohort.pseudonyms import read_pseudonyms
from metaswin.core.joblog import job
from metaswin.features.embedding import import_embedding

with job(snakemake.log[0]):
    import_embedding(
        table=snakemake.input.table,
        used=snakemake.input.used,
        output=snakemake.output.embedding,
        problems=snakemake.output.problems,
        details=snakemake.params.details,
        pseudonym=read_pseudonyms(snakemake.params.pseudonyms).of,
    )
