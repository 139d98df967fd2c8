"""Structures as a DICOM segmentation."""

import numpy as np
import pydicom
from pydicom.sr.codedict import codes as pydicom_codes

from metaswin import __version__
from metaswin.export.codes import codes
from metaswin.export.structure import Structure


def segmentation(slices: list[pydicom.Dataset], structures: list[Structure]) -> pydicom.Dataset:
    """A binary SEG that references the CT's slices and carries its patient and study.

    Structures may overlap; slices without any segment are left out.

    Parameters
    ----------
    slices : list of Dataset
        The CT's slices, in the order of the masks' first axis.
    structures : list of Structure
        At least one.
    """
    import highdicom

    algorithms = {"tumor": ("MANUAL", None)}
    for kind, family in [
        ("organ", pydicom_codes.DCM.ArtificialIntelligence),
        ("ring", pydicom_codes.DCM.ImageProcessing),
    ]:
        identification = highdicom.AlgorithmIdentificationSequence(f"metaswin {kind}", family, __version__)
        algorithms[kind] = ("AUTOMATIC", identification)
    descriptions = []
    for number, structure in enumerate(structures, start=1):
        category, kind = codes(structure.name, structure.kind)
        algorithm, identification = algorithms[structure.kind]
        descriptions.append(
            highdicom.seg.SegmentDescription(number, structure.name, category, kind, algorithm, identification)
        )
    return highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=np.stack([structure.mask for structure in structures], axis=-1).astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=highdicom.UID(),
        series_number=9001,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="metaswin",
        manufacturer_model_name="metaswin",
        software_versions=__version__,
        device_serial_number="0",
        series_description="metaswin: tumour, rings and organs",
        omit_empty_frames=True,
    )
