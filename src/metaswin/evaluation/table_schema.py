"""Tables of one endpoint: the same columns and types whether there are rows or not."""

from collections.abc import Mapping, Sequence

import pandas as pd


def tabled(
    parts: Sequence[pd.DataFrame],
    endpoint: str,
    columns: Mapping[str, type | str],
    keys: Sequence[str] = ("feature_set", "classifier"),
) -> pd.DataFrame:
    """Join `parts` below each other: ``endpoint``, `keys` (text), then `columns` with their types."""
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
    """The same from one mapping a row."""
    return tabled([pd.DataFrame(list(records))] if records else [], endpoint, columns, keys)
