"""Settings of the conversion to NIfTI."""

from pydantic import Field

from metaswin.settings import Settings


class NnunetSettings(Settings):
    """A trained nnU-Net v2 model folder that draws the tumour (``ingest.tumor_source: nnunet``)."""

    model_folder: str | None = None
    folds: list[int] = [0]
    checkpoint: str = "checkpoint_final.pth"
    primary_label: int = 1
    nodes_label: int | None = None


class ImagesSettings(Settings):
    """CT conversion.

    `max_spacing_deviation` (mm) is the largest accepted difference of two slice distances within a series;
    `max_slice_spacing` (mm) the largest accepted slice distance. A voxel of a fractional DICOM SEG belongs to the
    lesion from `seg_threshold` of the segmentation's maximum on.
    """

    max_spacing_deviation: float = Field(default=0.1, gt=0)
    max_slice_spacing: float = Field(default=6.0, gt=0)
    min_slices: int = Field(default=5, ge=1)
    seg_threshold: float = Field(default=0.5, gt=0, le=1)
    nnunet: NnunetSettings = NnunetSettings()
