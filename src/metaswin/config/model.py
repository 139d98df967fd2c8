"""Define the whole configuration as one model."""

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
from metaswin.config.features import (
    AnatomySettings,
    EmbeddingSettings,
    HarmonisationSettings,
    SelectionSettings,
    StabilitySettings,
)
from metaswin.config.imaging import (
    ExportSettings,
    ImagesSettings,
    OrgansSettings,
    PatchesSettings,
    QcImagesSettings,
    RegionsSettings,
)
from metaswin.config.models import DeepSettings, FusionSettings, SurvivalSettings
from metaswin.config.prediction import BundleSettings, PredictSettings
from metaswin.config.report import ReportSettings
from metaswin.core.settings import Settings
from metaswin.radiomics.settings import RadiomicsSettings


class OutputSettings(Settings):
    """Folders in the working directory (snakemake --directory)."""

    results: str = Field(default="results", description="Results, which identify patients only by the study id.")
    private: str = Field(
        default="private",
        description="Paths, UIDs and ROI names, which identify people and are written only to this folder.",
    )
    logs: str = Field(default="logs", description="Logs of the jobs.")


class Config(Settings):
    """Every setting of a run."""

    seed: int = Field(default=20250828, ge=0, description="Seed of folds, forests, networks and augmentation.")
    output: OutputSettings = OutputSettings()
    data: DataSettings = DataSettings()
    clinical: ClinicalSettings = ClinicalSettings()
    cohort: CohortSettings = CohortSettings()
    endpoints: dict[str, EndpointSettings] = Field(
        default={},
        description="Predicted outcomes, by name. Each is a plain 0/1 column, or distant metastasis (DM) within a "
        "horizon.",
        examples=[
            {
                "dm_ever": {"column": "dm"},
                "dm_2y": {
                    "horizon_days": 730.5,
                    "followup": "followup_days",
                    "event": {"column": "dm", "positive": [1], "time": "dm_days"},
                    "death": {"column": "dead", "positive": [1], "time": "death_days"},
                    "deaths": "nonevent",
                },
            }
        ],
    )
    ingest: IngestSettings = IngestSettings()
    qc: QcSettings = QcSettings()
    images: ImagesSettings = ImagesSettings()
    organs: OrgansSettings = OrgansSettings()
    anatomy: AnatomySettings = AnatomySettings()
    regions: RegionsSettings = RegionsSettings()
    qc_images: QcImagesSettings = QcImagesSettings()
    radiomics: RadiomicsSettings = RadiomicsSettings()
    export: ExportSettings = ExportSettings()
    signatures: list[str] = Field(
        default=[],
        description="Published signatures that the models are compared with. They are scored without fitting. Give "
        "names of config/signatures (aerts-2014, bhklab-aerts, tumour-volume) or paths of your own files "
        "(docs/signatures.md).",
    )
    folds: FoldsSettings = FoldsSettings()
    stability: StabilitySettings = StabilitySettings()
    harmonisation: HarmonisationSettings = HarmonisationSettings()
    selection: SelectionSettings = SelectionSettings()
    patches: PatchesSettings = PatchesSettings()
    deep: DeepSettings = DeepSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    fusion: FusionSettings = FusionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    survival: SurvivalSettings = SurvivalSettings()
    controls: ControlsSettings = ControlsSettings()
    explanation: ExplanationSettings = ExplanationSettings()
    report: ReportSettings = ReportSettings()
    bundle: BundleSettings = BundleSettings()
    predict: PredictSettings = PredictSettings()
