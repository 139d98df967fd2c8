"""Read the job table that Snakemake prints."""

import re


def rules_to_run(text: str) -> dict[str, int]:
    """Rule → number of jobs, of a dry run or the classifier of a run."""
    table = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {name: int(count) for name, count in table if name != "total"}
