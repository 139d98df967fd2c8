"""Assign the patients of one endpoint to stratified folds, or to those of their centres."""

from metaswin.cohort.centres import notes_on
from metaswin.cohort.folds import centre_folds, make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.core.files import read_json, read_table, write_json, write_table
from metaswin.core.joblog import job
from metaswin.core.used import used_patients

with job(snakemake.log[0]):
    endpoint = snakemake.wildcards.endpoint
    settings = FoldsSettings(**snakemake.params.settings)
    outcomes = read_table(snakemake.input.outcomes)
    outcomes = outcomes[outcomes["patient"].isin(used_patients(snakemake.input.used))]
    outcome = outcomes[outcomes["endpoint"] == endpoint].drop(columns="endpoint")
    clinical = read_table(snakemake.input.clinical).set_index("patient")
    if settings.by is None:
        folds, notes = make_folds(outcome, clinical[settings.stratify], settings, snakemake.params.seed, endpoint)
    else:
        centres = read_table(snakemake.input.centres)
        folds, notes = centre_folds(outcome, centres, endpoint), notes_on(centres, settings.by)
    write_table(snakemake.output.folds, folds)
    facts = {
        "name": endpoint,
        "endpoint": snakemake.params.endpoint,
        "by": settings.by,
        "notes": notes,
        "counts": read_json(snakemake.input.counts)[endpoint],
    }
    write_json(snakemake.output.facts, facts)
