"""Selection before the split, the commonest leak of radiomics: a control, wrong on purpose."""

import pandas as pd

from metaswin.selection.fold import training_parts


def leaky_parts(folds: pd.DataFrame, fold: int) -> dict[str, list[str]]:
    """Rows that features are selected on before the split: all with a known label, the test rows among them.

    Takes the place of `metaswin.selection.fold.training_parts` in the control ``leaky`` and nowhere else. How much
    such a selection inflates: Ambroise & McLachlan 2002, PNAS 99:6562-6566.

    Parameters
    ----------
    folds, fold
        As `training_parts`.
    """
    everyone = folds.index[folds["label"].notna()].tolist()
    return dict.fromkeys(training_parts(folds, fold), everyone)
