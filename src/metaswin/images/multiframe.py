"""Multi-frame (enhanced) CT: every frame as a slice of its own."""

from typing import TYPE_CHECKING, Any

import numpy as np

from metaswin.images.dicom import unreadable

if TYPE_CHECKING:
    from pydicom import Dataset

# Functional group → its elements under the names that a classic slice has (PS3.3 C.7.6.16 and C.8.15.3).
GROUPS = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PixelValueTransformationSequence": {
        "RescaleIntercept": "RescaleIntercept",
        "RescaleSlope": "RescaleSlope",
        "RescaleType": "RescaleType",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP"},
}
PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
FRAME_TAGS = [PER_FRAME, SHARED]


def split_frames(image: "Dataset") -> "list[Dataset]":
    """The frames of a multi-frame CT as slices with position, orientation, spacing and rescale of their own.

    A classic slice, or an image without functional groups, comes back as it is.

    Raises
    ------
    BadData
        ``file-unreadable``: the pixels cannot be decoded, or are not those of as many frames as are described.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    described = image.get(PER_FRAME)
    if not described:
        return [image]
    pixels = _frame_pixels(image, len(described))
    shared = (image.get(SHARED) or [Dataset()])[0]
    common = Dataset()
    common.update({tag: element for tag, element in image.items() if element.tag not in _left_out()})
    frames = []
    for groups, plane in zip(described, pixels, strict=True):
        frame = Dataset()
        frame.update(common)
        for name, value in _values(groups, shared).items():
            setattr(frame, name, value)
        frame.file_meta = FileMetaDataset()
        frame.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        frame.NumberOfFrames = 1
        frame.PixelData = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes()
        frame.filename = image.filename
        frames.append(frame)
    return frames


def _values(groups: "Dataset", shared: "Dataset") -> dict[str, Any]:
    """Elements of one frame; its own groups go before the shared ones."""
    values = {}
    for sequence, names in GROUPS.items():
        items = groups.get(sequence) or shared.get(sequence) or []
        for source, target in names.items():
            if items and source in items[0]:
                values[target] = items[0][source].value
    return values


def _frame_pixels(image: "Dataset", frames: int) -> np.ndarray:
    """Stored values, shape (frames, rows, columns)."""
    try:
        pixels = image.pixel_array
        return pixels.reshape(frames, *pixels.shape[-2:])
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(image.filename, error) from error


def _left_out() -> set[int]:
    from pydicom.datadict import tag_for_keyword

    return {int(tag_for_keyword(name) or 0) for name in (*FRAME_TAGS, "PixelData")}
