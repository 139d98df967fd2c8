"""Define the scanners of the simulated centres: geometry, kernels, noise, and the style of their files.

Manufacturers, models and kernels are those of real scanners, because software relies on such names. The image
properties of these scanners are invented.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from metaswin.simulate.phantom import Grid

HU_RANGE = (-1024, 3071)
COMMON_BLUR, COMMON_NOISE = 1.0, 9.0
"""Blur (mm) and noise (HU) of every scanner at a scanner shift of 0."""


@dataclass(frozen=True)
class Scanner:
    """One scanner and the conventions of its centre.

    Lengths are in mm. `blur` (standard deviation of the point spread), `noise` (HU), `grain` (correlation of the
    noise) and `hu_offset` (of tissue) are its own properties at a scanner shift of 1. `corner` is the position of the
    middle of the scan in its coordinate system. With `top_first`, slices are numbered from the head downwards.
    `padding` is the stored value outside the reconstruction circle. With `separate_nodes`, each node has its own ROI.
    """

    manufacturer: str
    model: str
    kernel: str
    sharp_kernel: str
    kvp: int
    slice_spacing: float
    slice_thickness: float
    field_of_view: float
    corner: tuple[float, float, float]
    blur: float
    noise: float
    grain: float
    hu_offset: float
    intercept: int
    signed: bool
    padding: int | None
    implicit_vr: bool
    top_first: bool
    file_style: str
    folder_style: str
    contrast_share: float
    contrast_agent: str
    primary_names: tuple[str, ...]
    node_names: tuple[str, ...]
    separate_nodes: bool
    distractors: tuple[str, ...]


SCANNERS = (
    Scanner(
        manufacturer="SIEMENS",
        model="Biograph64",
        kernel="B30f",
        sharp_kernel="B60f",
        kvp=120,
        slice_spacing=3.0,
        slice_thickness=3.0,
        field_of_view=210.0,
        corner=(0.0, -165.0, -742.5),
        blur=1.4,
        noise=7.0,
        grain=0.9,
        hu_offset=0.0,
        intercept=-1024,
        signed=False,
        padding=None,
        implicit_vr=False,
        top_first=True,
        file_style="IM{instance:04d}",
        folder_style="{token}/S{series:04d}",
        contrast_share=0.8,
        contrast_agent="OMNIPAQUE 300",
        primary_names=("GTVp",),
        node_names=("GTVn",),
        separate_nodes=False,
        distractors=("External", "Mandible", "SpinalCord"),
    ),
    Scanner(
        manufacturer="GE MEDICAL SYSTEMS",
        model="Discovery CT590 RT",
        kernel="STANDARD",
        sharp_kernel="BONEPLUS",
        kvp=140,
        slice_spacing=2.5,
        slice_thickness=2.5,
        field_of_view=215.0,
        corner=(4.5, 12.0, 81.25),
        blur=0.9,
        noise=11.0,
        grain=0.6,
        hu_offset=8.0,
        intercept=-1024,
        signed=True,
        padding=-2000,
        implicit_vr=True,
        top_first=True,
        file_style="{uid}.dcm",
        folder_style="{token}/{modality}",
        contrast_share=0.6,
        contrast_agent="IV",
        primary_names=("GTV_T", "GTV-P"),
        node_names=("GTV_LN", "GTV-N"),
        separate_nodes=False,
        distractors=("External", "PAROTID_L", "PAROTID_R"),
    ),
    Scanner(
        manufacturer="Philips",
        model="Brilliance Big Bore",
        kernel="B",
        sharp_kernel="D",
        kvp=120,
        slice_spacing=2.0,
        slice_thickness=2.5,
        field_of_view=220.0,
        corner=(-2.25, -98.0, 1250.0),
        blur=0.6,
        noise=15.0,
        grain=0.3,
        hu_offset=-8.0,
        intercept=-1000,
        signed=False,
        padding=None,
        implicit_vr=False,
        top_first=False,
        file_style="{token}",
        folder_style="{token}/study/{token}{series}",
        contrast_share=0.3,
        contrast_agent="CONTRAST",
        primary_names=("Primary_tumour", "GTV"),
        node_names=("Node", "node_LN"),
        separate_nodes=True,
        distractors=("Mandible", "PAROTID_L", "External", "CTV_60"),
    ),
    Scanner(
        manufacturer="TOSHIBA",
        model="Aquilion/LB",
        kernel="FC13",
        sharp_kernel="FC51",
        kvp=120,
        slice_spacing=2.0,
        slice_thickness=2.0,
        field_of_view=205.0,
        corner=(0.0, 0.0, -60.0),
        blur=1.8,
        noise=5.0,
        grain=1.2,
        hu_offset=16.0,
        intercept=0,
        signed=True,
        padding=None,
        implicit_vr=False,
        top_first=False,
        file_style="CT.{instance}.img",
        folder_style="{token}.{series}",
        contrast_share=0.5,
        contrast_agent="IOPAMIRON 370",
        primary_names=("gtv p", "gtv_tumour"),
        node_names=("gtv n", "gtv ln"),
        separate_nodes=True,
        distractors=("External", "SpinalCord"),
    ),
)


def scan_grid(scanner: Scanner, matrix: int, coverage: float) -> Grid:
    """Return the voxel grid of a scan of `coverage` mm in the phantom's coordinates; it is exact to 0.001 mm."""
    pixel = round(scanner.field_of_view / matrix, 6)
    slices = round(coverage / scanner.slice_spacing)
    edge = round(-0.5 * pixel * (matrix - 1), 3)
    return Grid(
        size=(matrix, matrix, slices),
        spacing=(pixel, pixel, scanner.slice_spacing),
        origin=(edge, edge, -0.5 * scanner.slice_spacing * (slices - 1)),
    )


def sharpened(scanner: Scanner) -> Scanner:
    """Return the scanner with its sharp kernel: less blur, fine and strong noise."""
    return replace(
        scanner,
        kernel=scanner.sharp_kernel,
        blur=0.5 * scanner.blur,
        noise=3 * scanner.noise,
        grain=0.25,
        hu_offset=0.0,
    )


def acquire(hu: np.ndarray, grid: Grid, scanner: Scanner, shift: float, rng: np.random.Generator) -> np.ndarray:
    """Scan the phantom: apply blur, noise and offset of the scanner's kernel, then round.

    Parameters
    ----------
    hu : ndarray, shape (z, y, x)
        The phantom (HU).
    grid : Grid
        Voxel grid of the phantom (mm).
    scanner : Scanner
        Scanner whose own properties are applied with the weight `shift`; the rest is common to all scanners.
    shift : float
        0 (all scanners are equal) to 1 (each scanner has the properties of its kernel) or more.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray of int16, shape (z, y, x)
        HU within `HU_RANGE` and within the values that the scanner can store.
    """
    blur = max(0.2, COMMON_BLUR + shift * (scanner.blur - COMMON_BLUR))
    noise = max(1.0, COMMON_NOISE + shift * (scanner.noise - COMMON_NOISE))
    spacing = np.array(grid.spacing[::-1])
    image = ndimage.gaussian_filter(hu, blur / spacing, mode="nearest")
    grain = ndimage.gaussian_filter(rng.standard_normal(grid.shape, dtype=np.float32), scanner.grain / spacing)
    image += grain * (noise / grain.std())
    image[hu > -500] += shift * scanner.hu_offset
    lowest = HU_RANGE[0] if scanner.signed else max(HU_RANGE[0], scanner.intercept)
    return np.clip(np.rint(image), lowest, HU_RANGE[1]).astype(np.int16)
