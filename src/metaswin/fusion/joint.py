"""Backbone and fusion network as one: the gradient of the fused prediction reaches the backbone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from metaswin.deep.backbones import Classifier
from metaswin.fusion.encode import LIMIT, NumericColumn
from metaswin.fusion.network import Networks, member_logits


class JointNetwork(nn.Module):
    """A fusion network whose deep score is what the backbone says at that moment.

    Called with patches it is the backbone, so that training handles its batch normalisation and its prior as ever;
    `logits` is the whole.

    Parameters
    ----------
    backbone : Classifier
        Trained; changed in place.
    head : Networks
        Fitted for one penalty on scores of networks that had not seen the rows.
    encoded : ndarray of shape (rows, columns)
        All encoded modalities of the training rows, in the head's order.
    column : int
        Where among them the deep score stands.
    scaling : NumericColumn
        How the deep score is scaled.
    dropout : float
        Of hidden values.
    """

    def __init__(
        self,
        backbone: Classifier,
        head: Networks,
        encoded: np.ndarray,
        column: int,
        scaling: NumericColumn,
        dropout: float,
    ) -> None:
        super().__init__()
        self.backbone, self.widths, self.column, self.scaling = backbone, head.widths, column, scaling
        self.dropout = dropout
        # Names of parameters may hold no dot.
        self.head = nn.ParameterDict(
            {
                name.replace(".", "-"): nn.Parameter(torch.from_numpy(array[0].copy()))
                for name, array in head.weights.items()
                if name != "scale"
            }
        )
        self.register_buffer("scale", torch.from_numpy(head.weights["scale"].copy()))
        self.register_buffer("encoded", torch.from_numpy(encoded.astype("float32")))

    @property
    def prior(self) -> torch.Tensor:
        return self.backbone.prior

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and features of the backbone."""
        return self.backbone(patches)

    def logits(self, patches: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Fused logits (n) of patches (n, channel, x, y, z), which belong to `rows` of the encoded modalities."""
        score = self.backbone(patches)[0].float() - self.prior
        scaled = ((score - self.scaling.mean) / self.scaling.sd).clamp(-LIMIT, LIMIT)
        fixed = self.encoded[rows.to(self.encoded.device)]
        inputs = torch.cat([fixed[:, : self.column], scaled[:, None], fixed[:, self.column + 1 :]], dim=1) * self.scale
        weights = {name.replace("-", "."): array for name, array in self.head.items()}
        return member_logits(inputs, weights, self.widths, self._dropped).mean(dim=0)

    def trained_head(self) -> Networks:
        """The fusion network as it is now."""
        weights = {name.replace("-", "."): array.detach().cpu().numpy()[None] for name, array in self.head.items()}
        return Networks(self.widths, {**weights, "scale": self.scale.cpu().numpy()})

    def _dropped(self, values: torch.Tensor) -> torch.Tensor:
        return functional.dropout(values, self.dropout, self.training)


def score_column(blocks: Sequence[str], widths: Sequence[int]) -> int:
    """Column of the deep score among all encoded columns; the block's first one."""
    return int(sum(widths[: list(blocks).index("deep")]))
