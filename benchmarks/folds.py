"""How many patients change their fold when others join, and how uneven the events of the folds are.

    python benchmarks/folds.py [--draws 60] [--events 0.2] [--k 5]

Cohorts of random ids and labels; one patient joins, then a tenth of the cohort.
"""

import argparse

import numpy as np
import pandas as pd

from metaswin.folds.make import make_folds
from metaswin.folds.settings import FoldsSettings


def folds_of(ids: list[str], labels: np.ndarray, k: int) -> pd.Series:
    outcome = pd.DataFrame({"patient": ids, "label": pd.array(labels, dtype="Int8"), "time": 1.0, "event": labels})
    folds, _ = make_folds(outcome, pd.DataFrame(index=ids), FoldsSettings(k=k, inner=2), 1, "dm")
    return folds.set_index("patient")["fold"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--events", type=float, default=0.2)
    parser.add_argument("--k", type=int, default=5)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    for n in (100, 300, 1500):
        moved: dict[int, list[int]] = {1: [], n // 10: []}
        spread = []
        for draw in range(options.draws):
            ids = [f"{draw}-{number}" for number in range(n + n // 10)]
            labels = (random.random(len(ids)) < options.events).astype(int)
            before = folds_of(ids[:n], labels[:n], options.k)
            for more, counts in moved.items():
                after = folds_of(ids[: n + more], labels[: n + more], options.k)
                counts.append(int((before != after[before.index]).sum()))
            events = pd.Series(labels[:n], index=ids[:n]).groupby(before).sum()
            spread.append((events.min(), events.max()))
        least, most = np.mean(spread, axis=0)
        print(f"{n} patients, {options.draws} draws: events of a fold {least:.1f} to {most:.1f} (means)")
        for more, counts in moved.items():
            none = np.mean(np.array(counts) == 0)
            print(
                f"  {more} join: {np.mean(counts):.2f} others move, at most {max(counts)}, none in {none:.0%} of draws"
            )


if __name__ == "__main__":
    main()
