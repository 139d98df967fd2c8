"""Group the planned patients by centre."""

from metaswin.cohort.centres import CentreInputs, group_centres
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    group_centres(
        # The input is an empty list if there are no DICOM files.
        CentreInputs(**{name: path or None for name, path in snakemake.input.items()}),
        snakemake.output.centres,
        snakemake.params.column,
    )
