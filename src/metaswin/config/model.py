"""The whole configuration as one model."""

from pydantic import Field

from metaswin.anatomy.settings import AnatomySettings
from metaswin.bundle.settings import BundleSettings
from metaswin.clinical.settings import ClinicalSettings, CohortSettings, EndpointSettings
from metaswin.controls.settings import ControlsSettings
from metaswin.deep.settings import DeepSettings
from metaswin.evaluation.settings import EvaluationSettings
from metaswin.explanation.settings import ExplanationSettings
from metaswin.folds.settings import FoldsSettings
from metaswin.fusion.settings import FusionSettings
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.images.settings import ImagesSettings
from metaswin.ingest.settings import DataSettings, IngestSettings
from metaswin.organs.settings import OrgansSettings
from metaswin.patches.settings import PatchesSettings
from metaswin.pictures.settings import PicturesSettings
from metaswin.predict.settings import PredictSettings
from metaswin.qc.settings import QcSettings
from metaswin.radiomics.settings import RadiomicsSettings
from metaswin.regions.settings import RegionsSettings
from metaswin.report.settings import ReportSettings
from metaswin.selection.settings import SelectionSettings
from metaswin.settings import Settings
from metaswin.stability.settings import StabilitySettings
from metaswin.survival.settings import SurvivalSettings


class OutputSettings(Settings):
    """Folders below the working directory: `results` may travel, `private` identifies people and stays."""

    results: str = "results"
    private: str = "private"
    logs: str = "logs"


class Config(Settings):
    """Every setting of a run."""

    seed: int = Field(default=20250828, ge=0)
    output: OutputSettings = OutputSettings()
    data: DataSettings = DataSettings()
    clinical: ClinicalSettings = ClinicalSettings()
    cohort: CohortSettings = CohortSettings()
    endpoints: dict[str, EndpointSettings] = {}
    ingest: IngestSettings = IngestSettings()
    qc: QcSettings = QcSettings()
    images: ImagesSettings = ImagesSettings()
    organs: OrgansSettings = OrgansSettings()
    anatomy: AnatomySettings = AnatomySettings()
    regions: RegionsSettings = RegionsSettings()
    pictures: PicturesSettings = PicturesSettings()
    radiomics: RadiomicsSettings = RadiomicsSettings()
    folds: FoldsSettings = FoldsSettings()
    stability: StabilitySettings = StabilitySettings()
    harmonisation: HarmonisationSettings = HarmonisationSettings()
    selection: SelectionSettings = SelectionSettings()
    patches: PatchesSettings = PatchesSettings()
    deep: DeepSettings = DeepSettings()
    fusion: FusionSettings = FusionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    survival: SurvivalSettings = SurvivalSettings()
    controls: ControlsSettings = ControlsSettings()
    explanation: ExplanationSettings = ExplanationSettings()
    report: ReportSettings = ReportSettings()
    bundle: BundleSettings = BundleSettings()
    predict: PredictSettings = PredictSettings()
