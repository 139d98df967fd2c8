"""Settings of radiomics."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings

CLASSES = ["shape", "firstorder", "glcm", "glrlm", "glszm", "gldm"]


class RadiomicsSettings(Settings):
    """Image types, feature classes and grey-level settings.

    The defaults give 1562 features a region: 14 shape features and 86 features on each of 18 image types. They
    are a reconstruction of the paper's count from PyRadiomics' published CT example settings; the paper does not
    name its image types. `regions` are names of the label map; rings are ``ring_<from>_<to>mm``, and ``rings``
    stands for all of them.
    """

    engine: Literal["pyradiomics"] = "pyradiomics"
    regions: list[str] = ["tumor", "primary", "nodes", "rings"]
    bin_width: float = Field(default=25.0, gt=0)
    voxel_array_shift: float = 1000.0
    image_types: list[str] = ["Original", "LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential"]
    log_sigma: list[float] = [1.0, 2.0, 3.0, 4.0, 5.0]
    wavelet: str = "coif1"
    feature_classes: list[str] = CLASSES
    omit_features: list[str] = ["glcm_SumAverage", "glcm_MCC"]
    min_voxels: int = Field(default=8, ge=1)
