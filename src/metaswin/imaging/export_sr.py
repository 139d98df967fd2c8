"""Write volumes, radiomics and predicted risks as a DICOM structured report (TID 1500)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as known_codes
from pydicom.sr.coding import Code

from metaswin import __version__
from metaswin.core.formatting import RESEARCH_USE
from metaswin.imaging.export_rtstruct import Structure
from metaswin.radiomics.ibsi import ibsi_code, unit

if TYPE_CHECKING:
    import highdicom

SCHEME = "99METASWIN"  # codes of our own: PyRadiomics' names without an IBSI code, and risks
CT = Code("25045-6", "LN", "CT Unspecified body region")
COMMENT = Code("121106", "DCM", "Comment")
LONGEST_MEANING = 64  # characters of a code's meaning
OBSERVER = "2.25.86390517049275106287731940263518264097"  # stands for metaswin as the observing device
SERIES = 9003


@dataclass(frozen=True)
class Features:
    """Features of one region.

    Attributes
    ----------
    values : mapping
        PyRadiomics' name → value.
    engine : str
    version : str
        Of the engine.
    settings : str
        Hash of the settings.
    """

    values: Mapping[str, float]
    engine: str
    version: str
    settings: str


@dataclass(frozen=True)
class Risk:
    """A predicted risk and the model that it comes from.

    Attributes
    ----------
    endpoint : str
    risk : float
    low, high : float or None
        Lowest and highest risk of the fold models; None where a single one has predicted.
    percentile : float or None
        Among the risks of the training patients.
    group : str or None
    model : str
    version : str
        The version of metaswin that made the bundle.
    fingerprint : str
        SHA-256 of the bundle's manifest.
    notes : tuple of str
        Warnings of the prediction.
    """

    endpoint: str
    risk: float
    low: float | None
    high: float | None
    percentile: float | None
    group: str | None
    model: str
    version: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def own_code(value: str, meaning: str) -> Code:
    """Return a code of metaswin's own scheme."""
    return Code(value, SCHEME, meaning[:LONGEST_MEANING])


def feature_code(name: str) -> Code:
    """Return the code of a feature: that of IBSI where it exists, otherwise PyRadiomics' name."""
    found = ibsi_code(name)
    return own_code(name, name) if found is None else Code(found[0], "IBSI", found[1])


def measurement_report(
    slices: Sequence[Dataset],
    segmentation: Dataset,
    structures: Sequence[Structure],
    voxel_mm3: float,
    features: Mapping[str, Features],
    risks: Sequence[Risk],
) -> Dataset:
    """Return a structured report that references the segmentation and the CT.

    Each structure is a measurement group (TID 1411) with its volume on the grid of the CT and its features; each risk
    is a measurement group (TID 1501) with the model as its algorithm and the statement on research use as a comment.

    Parameters
    ----------
    slices : sequence of Dataset
        The slices of the CT.
    segmentation : Dataset
        The SEG object, whose segments have the names of the structures.
    structures : sequence of Structure
        What is measured, at least one structure.
    voxel_mm3 : float
        Volume of a voxel of the masks.
    features : mapping
        Name of a structure → its features; structures without features have their volume only.
    risks : sequence of Risk
    """
    import highdicom

    numbers = {item.SegmentLabel: int(item.SegmentNumber) for item in segmentation.SegmentSequence}
    groups = [
        _region(structure, segmentation, numbers[structure.name], voxel_mm3, features.get(structure.name))
        for structure in structures
    ]
    observer = highdicom.sr.ObserverContext(
        observer_type=known_codes.DCM.Device,
        observer_identifying_attributes=highdicom.sr.DeviceObserverIdentifyingAttributes(
            uid=OBSERVER, name="metaswin", manufacturer_name="metaswin", model_name=__version__
        ),
    )
    content = highdicom.sr.MeasurementReport(
        observation_context=highdicom.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CT,
        imaging_measurements=[*groups, *map(_risk, risks)],
    )
    report = highdicom.sr.Comprehensive3DSR(
        evidence=[segmentation, *slices],
        content=content[0],
        series_instance_uid=highdicom.UID(),
        series_number=SERIES,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="metaswin",
        is_complete=True,
    )
    report.SeriesDescription = "metaswin: measurements, for research"
    report.ManufacturerModelName, report.SoftwareVersions = "metaswin", __version__
    report.DeviceSerialNumber = "0"
    return report


def _region(
    structure: Structure, segmentation: Dataset, number: int, voxel_mm3: float, features: Features | None
) -> "highdicom.sr.VolumetricROIMeasurementsAndQualitativeEvaluations":
    import highdicom

    volume = float(structure.mask.sum()) * voxel_mm3
    measurements = [_measurement(known_codes.SCT.Volume, volume, "mm3")]
    algorithm = None
    if features is not None:
        found = {name: value for name, value in features.values.items() if math.isfinite(value)}
        measurements += [_measurement(feature_code(name), value, unit(name)) for name, value in found.items()]
        algorithm = highdicom.sr.AlgorithmIdentification(
            f"metaswin radiomics, engine {features.engine}",
            features.version,
            parameters=[f"settings {features.settings}"],
        )
    segment = segmentation.SegmentSequence[number - 1]
    finding = segment.SegmentedPropertyTypeCodeSequence[0]
    return highdicom.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(uid=highdicom.UID(), identifier=structure.name),
        referenced_segment=highdicom.sr.ReferencedSegment.from_segmentation(segmentation, number),
        finding_type=Code(finding.CodeValue, finding.CodingSchemeDesignator, finding.CodeMeaning),
        algorithm_id=algorithm,
        measurements=measurements,
    )


def _risk(risk: Risk) -> "highdicom.sr.MeasurementsAndQualitativeEvaluations":
    import highdicom

    values = [
        ("risk", "Predicted risk", risk.risk, "1"),
        ("risk-lowest", "Lowest risk of the fold models (no confidence interval)", risk.low, "1"),
        ("risk-highest", "Highest risk of the fold models (no confidence interval)", risk.high, "1"),
        ("risk-percentile", "Percentile among the risks of the training patients", risk.percentile, "%"),
    ]
    groups = [] if risk.group is None else [
        highdicom.sr.QualitativeEvaluation(own_code("risk-group", "Risk group"), own_code(risk.group, risk.group))
    ]  # fmt: skip
    group = highdicom.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(
            uid=highdicom.UID(), identifier=f"Predicted risk: {risk.endpoint}"
        ),
        algorithm_id=highdicom.sr.AlgorithmIdentification(
            risk.model, risk.version, parameters=[f"fingerprint {risk.fingerprint}"]
        ),
        measurements=[
            _measurement(own_code(code, meaning), value, ucum) for code, meaning, value, ucum in values
            if value is not None and math.isfinite(value)
        ],
        qualitative_evaluations=groups,
    )  # fmt: skip
    # The template is extensible; highdicom has no argument for a comment.
    group[0].ContentSequence.extend(
        highdicom.sr.TextContentItem(COMMENT, text, highdicom.sr.RelationshipTypeValues.CONTAINS)
        for text in (RESEARCH_USE, *risk.notes)
    )
    return group


def _measurement(name: Code, value: float, ucum: str) -> "highdicom.sr.Measurement":
    import highdicom

    meaning = {"1": "no units", "%": "percent", "[hnsf'U]": "Hounsfield unit"}.get(ucum, ucum)
    return highdicom.sr.Measurement(name=name, value=float(value), unit=Code(ucum, "UCUM", meaning))
