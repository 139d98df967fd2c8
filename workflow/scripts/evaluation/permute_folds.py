"""Make the folds of the permuted outcome on which networks are trained."""

from metaswin.config.cohort import FoldsSettings
from metaswin.core.files import read_table, write_table
from metaswin.core.joblog import job
from metaswin.evaluation.permuted_folds import TRAINED, permuted_folds

with job(snakemake.log[0]):
    folds = permuted_folds(
        read_table(snakemake.input.folds),
        read_table(snakemake.input.clinical).set_index("patient"),
        FoldsSettings(**snakemake.params.settings),
        snakemake.params.seed,
        snakemake.wildcards.endpoint,
        TRAINED,
    )
    write_table(snakemake.output.folds, folds)
