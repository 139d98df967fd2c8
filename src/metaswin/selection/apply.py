"""Apply a selection to any row: kept features, imputed by training medians, and flags of missing regions."""

import pandas as pd

from metaswin.selection.matrix import missing_regions


def apply_selection(features: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """Kept features of some rows, without anything missing.

    Parameters
    ----------
    features : DataFrame
        Matrix of the set, see `metaswin.selection.matrix.wide`; any rows. A kept column may be absent: it is
        missing in every row.
    selection : DataFrame
        Rows of ``selection.parquet`` of one part and one set.

    Returns
    -------
    DataFrame
        Index as `features`; the kept features by rank, then one column ``<region>__missing`` (0 or 1) for each
        region that some training rows lacked. Without such training rows there is no flag: a later row that
        lacks the region has the training medians.

    Raises
    ------
    ValueError
        If `selection` holds more than one part or set.
    """
    if selection["feature"].duplicated().any():
        raise ValueError("apply_selection needs the rows of one part and one set")
    kept = selection[selection["kept"]].sort_values("rank")
    chosen = features.reindex(columns=kept["feature"].tolist())
    chosen = chosen.fillna(kept.set_index("feature")["median"])
    missing = missing_regions(features)
    flags = selection.loc[selection["step"] == "flag", "feature"]
    for flag in flags:
        region = flag.removesuffix("__missing")
        chosen[flag] = missing[region].astype(float) if region in missing else 1.0
    return chosen
