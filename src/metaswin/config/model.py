"""The whole configuration as one model."""

from pydantic import Field

from metaswin.config.cohort import (
    ClinicalSettings,
    CohortSettings,
    DataSettings,
    EndpointSettings,
    FoldsSettings,
    IngestSettings,
    QcSettings,
)
from metaswin.config.evaluation import ControlsSettings, EvaluationSettings, ExplanationSettings
from metaswin.config.features import AnatomySettings, HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.imaging import ImagesSettings, OrgansSettings, PatchesSettings, PicturesSettings, RegionsSettings
from metaswin.config.models import DeepSettings, FusionSettings, SurvivalSettings
from metaswin.config.prediction import BundleSettings, PredictSettings
from metaswin.config.report import ReportSettings
from metaswin.core.settings import Settings
from metaswin.radiomics.settings import RadiomicsSettings


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
