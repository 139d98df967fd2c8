"""Compare every control with the run."""

from metaswin.config.evaluation import ControlsSettings
from metaswin.core.joblog import job
from metaswin.evaluation.negative_controls import ControlsInputs, evaluate_controls

with job(snakemake.log[0]):
    evaluate_controls(
        ControlsInputs(**snakemake.input),
        snakemake.output.controls,
        snakemake.output.permutations,
        ControlsSettings(**snakemake.params.settings),
        snakemake.params.reasons,
        snakemake.params.confidence,
        snakemake.params.penalties,
        snakemake.params.selection,
    )
