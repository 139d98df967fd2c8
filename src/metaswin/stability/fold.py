"""Stability of one fold's features."""

import logging

from metaswin.files import read_table, write_table
from metaswin.selection.fold import training_parts
from metaswin.stability.judge import measured, stability_table
from metaswin.stability.settings import StabilitySettings

logger = logging.getLogger("metaswin.stability")


def stability_of_fold(
    perturbed: str, folds: str, output: str, repeat: int, fold: int, settings: StabilitySettings
) -> None:
    """Read the features of perturbed masks and the folds, and write ``stability.parquet``."""
    table = read_table(folds)
    table = table[table["repeat"] == repeat].set_index("patient").sort_index()
    sets = measured(read_table(perturbed), settings.perturbations)
    judged = stability_table(sets, training_parts(table, fold), settings)
    for (part, feature_set), rows in judged.groupby(["part", "set"], sort=False):
        counts = (int(rows["kept"].sum()), len(rows), int(rows["judged"].sum()), int(rows["patients"].max()))
        logger.info("%s, %s: %d of %d features kept, %d judged, %d patients", part, feature_set, *counts)
    write_table(output, judged)
