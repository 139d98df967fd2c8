"""Put every control beside the run."""

from metaswin.controls.evaluate import evaluate_controls
from metaswin.controls.settings import ControlsSettings
from metaswin.joblog import job

with job(snakemake.log[0]):
    evaluate_controls(
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        ControlsSettings(**snakemake.params.settings),
        snakemake.params.reasons,
        snakemake.params.confidence,
        snakemake.params.penalties,
    )
