"""Build the deep networks: MONAI's 3D Swin Transformer, ResNet and DenseNet with one classification layer."""

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from safetensors.torch import load_file
from torch import nn

from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError
from metaswin.core.files import file_hash
from metaswin.models.monai_networks import DenseNet121, SwinTransformer, resnet10, resnet18, resnet34
from metaswin.models.swin import last_tokens

RESNETS = {10: resnet10, 18: resnet18, 34: resnet34}


CT, TUMOR, RING = 0, 1, 2  # the first channels of a patch
INSIDE = 0.95  # a voxel counts as tumour if at least this share of it is tumour
NARROW = 4.0  # the narrow channel is clipped to this many standard deviations


class Classifier(nn.Module):
    """Compute one logit from the pooled features of an encoder.

    The encoder receives one more channel than the patch has. This channel is a copy of the CT, standardised by the grey
    values in the tumours of the training rows and clipped to ±4. The idea is nnU-Net's normalisation of CT (Isensee et
    al. 2021). In the patch's own channel, which spans 400 HU, the standard deviation within a tumour is about 0.05,
    which is small compared with air, bone and the masks.

    A batch normalisation without weights standardises the features before the linear layer (as in He et al. 2022,
    Masked Autoencoders). The differences between patients are a tenth of the features' common part. Without the
    standardisation, a Swin learns nothing from small cohorts in hundreds of steps. `prior` is the log-odds of the
    training rows' prevalence; the logit starts from it.
    """

    prior: torch.Tensor
    contrast: torch.Tensor

    def __init__(self, encoder: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = width
        self.register_buffer("prior", torch.zeros(()))
        self.register_buffer("contrast", torch.tensor([0.5, 0.25]))  # centre and standard deviation
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n) and features (n, width) of patches (n, channel, x, y, z)."""
        centre, spread = self.contrast
        narrow = ((patches[:, CT] - centre) / spread).clamp(-NARROW, NARROW)
        features = self.encoder(torch.cat([patches, narrow[:, None]], dim=1))
        return self.prior + self.head(self.dropout(self.standardise(features))).squeeze(1), features

    def fit_contrast(self, patches: torch.Tensor) -> None:
        """Set centre and standard deviation of the narrow channel from the tumours of `patches`, the training rows.

        They are the median and the interquartile range divided by 1.349. A few calcified or necrotic voxels therefore
        do not widen the channel. The built-in values are kept if no voxel is tumour.
        """
        values = patches[:, CT][patches[:, TUMOR] > INSIDE].float().numpy()
        if values.size:
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            self.contrast.copy_(torch.tensor([middle, max((high - low) / 1.349, 1e-3)]))


class SwinEncoder(nn.Module):
    """Concatenate the last stage of MONAI's 3D Swin Transformer and moments of its first layer in tumour and ring.

    The last stage is normalised and averaged over all tokens (Liu et al. 2021, 3.1). The moments are the mean and the
    logarithm of the standard deviation of the patch embedding's tokens, weighted by the share of tumour and of ring in
    each token. The patch embedding is a bank of linear filters of 2 x 2 x 2 voxels. The standard deviation of a filter
    within the tumour measures the tumour's heterogeneity. The average over normalised tokens does not contain it.
    """

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
        self.norm = nn.LayerNorm(16 * embed_dim)
        self.width = 20 * embed_dim

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        embedded = self.swin.patch_embed(patches)
        last = self.norm(last_tokens(self.swin, embedded)).mean(dim=1)
        return torch.cat([last, *moments(embedded, patches[:, TUMOR]), *moments(embedded, patches[:, RING])], dim=1)


def moments(embedded: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log standard deviation (n, width) of tokens within a mask.

    Parameters
    ----------
    embedded : Tensor, shape (n, width, x, y, z)
    mask : Tensor, shape (n, 2 x, 2 y, 2 z)
        Share of each voxel that belongs to the region. A token's weight is the fourth power of its share, because a
        token at the border also contains voxels outside the region.
    """
    share = functional.avg_pool3d(mask[:, None], 2, ceil_mode=True).clamp(0, 1)
    weight = share**4 + 1e-6  # equal weights for the whole patch if the region is absent
    weight = weight / weight.sum(dim=(2, 3, 4), keepdim=True)
    mean = (embedded * weight).sum(dim=(2, 3, 4))
    variance = ((embedded - mean[:, :, None, None, None]) ** 2 * weight).sum(dim=(2, 3, 4))
    return mean, 0.5 * torch.log(variance + 1e-4)


class GlobalMean(nn.Module):
    """Average over all voxels. Unlike that of adaptive pooling, the gradient is also reproducible on a GPU."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean(dim=(2, 3, 4))


def build(backbone: str, settings: DeepSettings, channels: int) -> Classifier:
    """Return an untrained network, initialised from torch's global generator.

    Parameters
    ----------
    backbone : str
        ``swin``, ``resnet`` or ``densenet``.
    settings : DeepSettings
        Only ``embed_dim, window_size, resnet_depth, dropout`` are used.
    channels : int
        Channels of the patches: CT, tumour, ring and organ groups.
    """
    channels += 1  # the narrow channel, see Classifier
    if backbone == "swin":
        swin = SwinEncoder(channels, settings.embed_dim, settings.window_size)
        encoder: nn.Module = swin
        width = swin.width
    elif backbone == "resnet":
        # Stride 2 in the first layer, as in He et al. 2016; MONAI's default of 1 costs eight times as much.
        encoder = RESNETS[settings.resnet_depth](
            spatial_dims=3, n_input_channels=channels, conv1_t_stride=2, feed_forward=False
        )
        encoder.add_module("avgpool", GlobalMean())
        width = 512
    elif backbone == "densenet":
        network = DenseNet121(spatial_dims=3, in_channels=channels, out_channels=1)
        last = network.class_layers.out
        assert isinstance(last, nn.Linear)
        width = last.in_features
        encoder = nn.Sequential(network.features, nn.ReLU(), GlobalMean())
    else:
        raise ValueError(f"unknown backbone {backbone}")
    return Classifier(encoder, width, settings.dropout)


# Known containers of the weights and prefixes of the encoder's keys: DataParallel, SwinUNETR, self-supervised, ours.
CONTAINERS = ("state_dict", "model", "model_state_dict", "network")
PREFIXES = re.compile(r"^((module|model|encoder|student|backbone|swin|swinViT|swin_vit)\.)+")
FIRST = "patch_embed.proj.weight"
BIASES = "relative_position_bias_table"
INDEX = "relative_position_index"


def load_pretrained(swin: nn.Module, path: str | Path) -> dict[str, object]:
    """Copy the weights of `path` into MONAI's SwinTransformer `swin`.

    The file is a torch checkpoint (only weights are loaded, never code) or safetensors. It may be MONAI's
    ``model_swinvit.pt`` (keys ``module.…``, ``mlp.fc1``), a SwinUNETR (``swinViT.…``, its decoder is ignored) or a
    plain state. Two kinds of weights are adapted if their shape differs. If the first layer was trained on other
    channels, the CT channel receives the mean over these channels, and the other channels keep their initial weights.
    Tables of relative positions of another window size are interpolated linearly.

    Returns
    -------
    dict
        Numbers of weights: ``matched`` (copied unchanged), ``adapted``, ``total`` (of `swin`), ``unused`` (of the
        file); and ``sha256`` of the file.

    Raises
    ------
    UserError
        If the file cannot be read or if none of its weights fits.
    """
    found = {_our_key(key): value for key, value in _read(Path(path)).items()}
    own = {key: value for key, value in swin.state_dict().items() if not key.endswith(INDEX)}
    matched, adapted = {}, {}
    for key, target in own.items():
        value = found.get(key)
        if value is None:
            continue
        if value.shape == target.shape:
            matched[key] = value
        elif (fitted := _adapt(key, value, target)) is not None:
            adapted[key] = fitted
    # Tables of relative positions have the same shape at every width. If only they match, the file does not fit.
    if all(key.endswith(BIASES) for key in matched):
        raise UserError(_nothing_fits(found, own))
    swin.load_state_dict({**swin.state_dict(), **matched, **adapted})
    unused = [key for key in found if key not in matched and key not in adapted and not key.endswith(INDEX)]
    return {
        "matched": len(matched),
        "adapted": len(adapted),
        "total": len(own),
        "unused": len(unused),
        "sha256": file_hash(path),
    }


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on any exception of the unpickler
        raise UserError(
            f"deep.pretrained: the file cannot be read as weights ({type(error).__name__}); expected a torch "
            "checkpoint of tensors and plain values only, or safetensors; choose another file"
        ) from None
    while container := _container(content):
        content = content[container]
    if not isinstance(content, dict):
        raise UserError("deep.pretrained: the file contains no dictionary of weights; expected a state_dict")
    return {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _container(content: object) -> str | None:
    """Return the name of the dictionary in `content` that holds the weights; None if they are at the top level."""
    if not isinstance(content, dict):
        return None
    return next((key for key in CONTAINERS if isinstance(content.get(key), dict)), None)


def _our_key(key: str) -> str:
    key = PREFIXES.sub("", key)
    return key.replace("mlp.fc1.", "mlp.linear1.").replace("mlp.fc2.", "mlp.linear2.")


def _adapt(key: str, value: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
    """Return `value` in the shape of `target`, or None if it cannot be adapted."""
    if key == FIRST and value.shape[0] == target.shape[0] and value.shape[2:] == target.shape[2:]:
        adapted = target.clone()
        adapted[:, 0] = value.mean(dim=1)
        return adapted
    if key.endswith(BIASES) and value.ndim == 2 and value.shape[1] == target.shape[1]:
        old, new = round(len(value) ** (1 / 3)), round(len(target) ** (1 / 3))
        if old**3 == len(value):
            volume = value.float().T.reshape(1, -1, old, old, old)
            moved = functional.interpolate(volume, size=(new,) * 3, mode="trilinear", align_corners=True)
            return moved.reshape(value.shape[1], -1).T.contiguous()
    return None


def _nothing_fits(found: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> str:
    common = sum(key in own for key in found)
    message = f"deep.pretrained: none of the file's {len(found)} weights fits the {len(own)} of the Swin Transformer"
    if FIRST in found:
        return (
            f"{message}: the file's embed_dim is {len(found[FIRST])}, deep.embed_dim is {len(own[FIRST])}; "
            "set deep.embed_dim to the value of the file, or choose another file"
        )
    return f"{message} ({common} names in common); expected keys such as module.{FIRST} or swinViT.{FIRST}"
