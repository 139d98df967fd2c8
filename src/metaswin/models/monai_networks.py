"""Import MONAI's networks, and not the optional packages of its other parts.

``import monai`` imports all of MONAI and, with it, every optional package that is installed (scipy.signal, matplotlib,
scikit-image, nibabel and others). This takes three seconds in each job. The networks need none of them, so these
packages seem to be absent while MONAI is imported. They can be imported afterwards, but MONAI itself does not use them
in this process.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

UNUSED = (
    "cv2",
    "h5py",
    "ignite",
    "itk",
    "matplotlib",
    "nibabel",
    "PIL",
    "pydicom",
    "scipy",
    "scipy.signal",
    "scipy.stats",
    "SimpleITK",
    "skimage",
    "sklearn",
    "tensorboard",
    "transformers",
)


@contextmanager
def absent(packages: Sequence[str]) -> Iterator[None]:
    """Let the import of packages fail that are not imported yet; afterwards it works as before."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with absent(UNUSED):
    from monai.networks.nets import DenseNet121, resnet10, resnet18, resnet34
    from monai.networks.nets.swin_unetr import SwinTransformer, SwinTransformerBlock, compute_mask, get_window_size

__all__ = [
    "DenseNet121",
    "SwinTransformer",
    "SwinTransformerBlock",
    "compute_mask",
    "get_window_size",
    "resnet10",
    "resnet18",
    "resnet34",
]
