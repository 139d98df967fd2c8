"""Build tables of one endpoint that have the same columns and types with and without rows."""

from collections.abc import Mapping, Sequence

import pandas as pd


def tabled(
    parts: Sequence[pd.DataFrame],
    endpoint: str,
    columns: Mapping[str, type | str],
    keys: Sequence[str] = ("feature_set", "classifier"),
) -> pd.DataFrame:
    """Concatenate `parts` with the columns ``endpoint``, `keys` (text) and `columns` with their types."""
    types = {**dict.fromkeys(["endpoint", *keys], "str"), **columns}
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    return pd.concat(parts, ignore_index=True).assign(endpoint=endpoint)[list(types)].astype(types)


def from_records(
    records: Sequence[Mapping],
    endpoint: str,
    columns: Mapping[str, type | str],
    keys: Sequence[str] = ("feature_set", "classifier"),
) -> pd.DataFrame:
    """Build the same table from one mapping per row."""
    return tabled([pd.DataFrame(list(records))] if records else [], endpoint, columns, keys)
