"""Read the job table that Snakemake prints, and the stages that a user may name."""

import re

TARGETS = (
    "ingest", "qc", "images", "organs", "anatomy", "regions", "export", "cohort", "pictures", "prepare",
    "radiomics", "patches", "folds", "stability", "harmonisation", "selection", "deep", "backbones", "fusion",
    "evaluation", "survival", "controls", "explanation", "report", "bundle",
)  # fmt: skip


def rules_to_run(text: str) -> dict[str, int]:
    """Rule → number of jobs, of a dry run or the classifier of a run."""
    table = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {name: int(count) for name, count in table if name != "total"}
