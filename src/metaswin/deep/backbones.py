"""The networks: MONAI's Swin Transformer, ResNet and DenseNet in 3D, each with one classification head."""

import torch
from monai.networks.nets import DenseNet121, resnet10, resnet18, resnet34
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import nn

from metaswin.deep.settings import DeepSettings
from metaswin.deep.swin import last_tokens

RESNETS = {10: resnet10, 18: resnet18, 34: resnet34}


class Classifier(nn.Module):
    """An encoder, and one logit from its pooled features.

    The features are standardised by a batch normalisation without weights before the linear layer (as He et al.
    2022, Masked Autoencoders, do): patients differ by a tenth of the features' common part, and without it a Swin
    learns nothing from small cohorts in hundreds of steps. `prior` is the log-odds of the training rows'
    prevalence, which the logit starts from.
    """

    prior: torch.Tensor

    def __init__(self, encoder: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("prior", torch.zeros(()))
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n) and features (n, width) of patches (n, channel, x, y, z)."""
        features = self.encoder(patches)
        return self.prior + self.head(self.dropout(self.standardise(features))).squeeze(1), features


class SwinEncoder(nn.Module):
    """MONAI's 3D Swin Transformer; its last stage normalised and averaged over all tokens (Liu et al. 2021, 3.1)."""

    def __init__(self, channels: int, embed_dim: int, window_size: int) -> None:
        super().__init__()
        self.swin = SwinTransformer(
            in_chans=channels,
            embed_dim=embed_dim,
            window_size=(window_size,) * 3,
            patch_size=(2, 2, 2),
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
        )
        self.width = 16 * embed_dim
        self.norm = nn.LayerNorm(self.width)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.norm(last_tokens(self.swin, patches)).mean(dim=1)


class GlobalMean(nn.Module):
    """Mean over all voxels; unlike adaptive pooling its gradient is reproducible on a GPU too."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean(dim=(2, 3, 4))


def build(backbone: str, settings: DeepSettings, channels: int) -> Classifier:
    """An untrained network, initialised from torch's global generator.

    Parameters
    ----------
    backbone : str
        ``swin``, ``resnet`` or ``densenet``.
    settings : DeepSettings
        ``embed_dim, window_size, resnet_depth, dropout`` are read.
    channels : int
        Channels of the patches.
    """
    if backbone == "swin":
        encoder: nn.Module = SwinEncoder(channels, settings.embed_dim, settings.window_size)
        width = encoder.width
    elif backbone == "resnet":
        # Stride 2 in the first layer, as in He et al. 2016; MONAI's default of 1 costs eight times as much.
        encoder = RESNETS[settings.resnet_depth](
            spatial_dims=3, n_input_channels=channels, conv1_t_stride=2, feed_forward=False
        )
        encoder.avgpool = GlobalMean()
        width = 512
    elif backbone == "densenet":
        network = DenseNet121(spatial_dims=3, in_channels=channels, out_channels=1)
        width = network.class_layers.out.in_features
        encoder = nn.Sequential(network.features, nn.ReLU(), GlobalMean())
    else:
        raise ValueError(f"unknown backbone {backbone}")
    return Classifier(encoder, width, settings.dropout)
