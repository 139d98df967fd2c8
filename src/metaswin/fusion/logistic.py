"""The reference head: L2-penalised logistic regression on the same encoded columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Logistics:
    """Fitted regressions, one a penalty.

    `weights` holds ``coef`` of shape (penalties, columns) and ``intercept`` of shape (penalties,).
    """

    weights: dict[str, np.ndarray]

    def logits(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Logits of shape (penalties, rows) for encoded modalities of shapes (rows, width)."""
        inputs = np.concatenate(blocks, axis=1)
        return self.weights["coef"] @ inputs.T + self.weights["intercept"][:, None]


def fit_logistics(blocks: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float]) -> Logistics:
    """Fit one regression a penalty (1/C in scikit-learn's terms); the intercept is not penalised."""
    from sklearn.linear_model import LogisticRegression

    inputs = np.concatenate(blocks, axis=1)
    if inputs.shape[1] == 0:
        odds = np.log(label.mean() / (1 - label.mean()))
        return Logistics({"coef": np.zeros((len(penalties), 0)), "intercept": np.full(len(penalties), odds)})
    models = [LogisticRegression(C=1 / penalty, max_iter=10_000).fit(inputs, label) for penalty in penalties]
    return Logistics(
        {
            "coef": np.stack([model.coef_[0] for model in models]),
            "intercept": np.array([model.intercept_[0] for model in models]),
        }
    )
