"""Check settings against each other."""

import difflib

from metaswin.config.evaluation import SCANNER
from metaswin.config.features import ACQUISITION
from metaswin.config.model import Config
from metaswin.core.errors import suggestion

MANUFACTURER = "manufacturer"
WAY_IN = {"dicom": "dicom", "nifti": "sheet", "features": "features"}


def check_consistency(config: Config) -> list[str]:
    """Return messages about errors that can be found without reading any file."""
    from metaswin.config.feature_sets import check_feature_sets, check_hazard_feature_sets

    messages = [f"data.{key} is not set, but {why}; give its path" for key, why in needed_paths(config).items() if
                getattr(config.data, key) is None]  # fmt: skip
    if config.clinical.table is None:
        messages.append("clinical.table is not set; give the path of the clinical table (CSV)")
    if not config.endpoints and config.predict.bundle is None:
        messages.append("endpoints is empty; name what to predict, such as a 0/1 column (see config/examples)")
    for name in config.endpoints:
        if not name.replace("_", "").isalnum():
            messages.append(f"endpoints.{name}: a name may contain only letters, digits and _; rename it")
    messages += _check_roles(config) + check_centres(config)
    if config.data.source in ("dicom", "nifti"):
        messages += _check_regions(config) + _check_organs(config) + check_stability(config)
        messages += _check_export(config)
    elif config.signatures:
        messages.append(
            f"signatures: found {', '.join(config.signatures)}, but data.source {config.data.source} has no images "
            "from which signatures can be computed; set signatures to [], or use data.source dicom or nifti"
        )
    if config.embedding.model is not None and config.data.source not in ("dicom", "nifti"):
        messages.append(
            f"embedding.model: data.source {config.data.source} has no images that an encoder could read; set "
            "embedding.table to a table of embeddings, or use data.source dicom or nifti"
        )
    messages += check_harmonisation(config) + check_feature_sets(config)
    return messages + check_hazard_feature_sets(config) + check_evaluation(config)


def _check_export(config: Config) -> list[str]:
    """Require that each feature of the structured report is extracted."""
    from metaswin.radiomics.names import expected_features

    if not config.export.features:
        return []
    extracted = set(expected_features(config.radiomics))
    unknown = [name for name in config.export.features if name not in extracted]
    near = {name: difflib.get_close_matches(name, extracted, n=1) for name in unknown}
    return [
        f"export.features: {name!r} is not extracted with these settings of radiomics"
        + (f"; did you mean {near[name][0]!r}?" if near[name] else "; names are as in results/radiomics")
        for name in unknown
    ]


def needed_paths(config: Config) -> dict[str, str]:
    """Return the paths of `data` that this configuration needs, with the reasons."""
    source = config.data.source
    needed = {WAY_IN[source]: f"data.source is {source}"} if source in WAY_IN else {}
    if source == "dicom" and config.ingest.tumor_source == "nifti":
        needed["sheet"] = "ingest.tumor_source is nifti"
    return needed


def _check_roles(config: Config) -> list[str]:
    """Check that predictors and strata are known before the outcome and that no outcome is a predictor."""

    messages = []
    roles = {name.strip(): column.role for name, column in config.clinical.columns.items()}
    predictive = [name for name, role in roles.items() if role in ("baseline", "treatment")]
    for title, names in [
        *((f"clinical.sets.{key}", columns) for key, columns in config.clinical.sets.items()),
        ("folds.stratify", config.folds.stratify),
        ("folds.by", [config.folds.by] if config.folds.by is not None and not by_manufacturer(config) else []),
        ("evaluation.strata", [name for name in config.evaluation.strata if name not in scanner_strata(config)]),
    ]:
        for name in names:
            if name.strip() not in roles:
                messages.append(
                    f"{title}: column {name!r} has no role in clinical.columns{suggestion(name, predictive)}"
                )
            elif name.strip() not in predictive:
                messages.append(
                    f"{title}: column {name!r} has the role {roles[name.strip()]}; "
                    "only baseline (and treatment) columns are known before the outcome"
                )
    for name, endpoint in config.endpoints.items():
        for column in endpoint.columns:
            if roles.get(column.strip()) in ("baseline", "treatment"):
                messages.append(
                    f"endpoints.{name}: column {column!r} is an outcome here but has the role "
                    f"{roles[column.strip()]} in clinical.columns, where it would predict itself"
                )
    return messages


def by_manufacturer(config: Config) -> bool:
    """Return whether `folds.by` is the manufacturer of the CT; a clinical column of that name takes precedence."""
    by = (config.folds.by or "").strip()
    return by == MANUFACTURER and by not in {name.strip() for name in config.clinical.columns}


def check_centres(config: Config) -> list[str]:
    """Return one message per error in `folds.by`."""
    from metaswin.config.feature_sets import clinical_sets

    by = config.folds.by
    if by is None:
        return []
    if by_manufacturer(config) and config.data.source != "dicom":
        return [
            f"folds.by: {by!r} is read from DICOM headers, but data.source is {config.data.source}; name a column of "
            "the clinical table"
        ]
    return [
        f"folds.by: column {by!r} is in the clinical set {name!r}, but the level of the test rows never occurs in "
        "training rows; define the sets without it in clinical.sets"
        for name, columns in clinical_sets(config.clinical).items()
        if by.strip() in {column.strip() for column in columns}
    ]


def _check_regions(config: Config) -> list[str]:
    """Return messages about unknown or missing regions of radiomics."""
    from metaswin.config.imaging import ring_name

    made = ["tumor", "primary", "nodes", "rings", *(ring_name(ring) for ring in config.regions.rings)]
    unknown = [name for name in config.radiomics.regions if name not in made]
    messages = [f"radiomics.regions: unknown region {name!r}{suggestion(name, made)}" for name in unknown]
    if "tumor" not in config.radiomics.regions and "radiomics" in config.fusion.modalities:
        messages.append("radiomics.regions does not contain tumor, which the modality radiomics needs; add it")
    return messages


def _check_organs(config: Config) -> list[str]:
    """Return messages about named organs, tissues and groups that the backend does not segment."""
    from metaswin.config.imaging import TISSUES

    if config.organs.backend == "masks":
        return []
    made = list(TISSUES)
    if config.organs.backend == "totalsegmentator":
        from metaswin.config.structures import drawn

        settings = config.organs.totalsegmentator
        made = [*(TISSUES if settings.tissues else ()), *drawn(settings.tasks, settings.structures)]
        unknown = [name for name in settings.structures if name not in drawn(["total"], [])]
        if unknown:
            return [f"organs.totalsegmentator.structures: the task total does not segment {', '.join(unknown)}"]
    known = [*made, *config.organs.groups]
    groups = config.patches.organ_groups
    named = [("regions.ring_excludes", name) for name in config.regions.ring_excludes]
    named += [(f"patches.organ_groups.{group}", name) for group, names in groups.items() for name in names]
    return [
        f"{setting}: organs.backend {config.organs.backend} does not segment {name!r}{suggestion(name, known)}"
        for setting, name in named
        if name not in known
    ]


def scanner_strata(config: "Config") -> list[str]:
    """Return the strata of `evaluation.strata` that come from the images."""
    columns = {name.strip() for name in config.clinical.columns}
    named = [name for name in config.evaluation.strata if name.strip() in SCANNER and name.strip() not in columns]
    return named if config.data.source in ("dicom", "nifti") else []


def check_evaluation(config: "Config") -> list[str]:
    """Return one message per error in the confirmatory set and the bands."""
    from metaswin.config.feature_sets import clinical_sets

    settings, sets = config.evaluation, clinical_sets(config.clinical)
    messages = []
    if settings.confirmatory_clinical_set is not None and settings.confirmatory_clinical_set not in sets:
        near = suggestion(settings.confirmatory_clinical_set, list(sets))
        messages.append(
            f"evaluation.confirmatory_clinical_set: there is no set {settings.confirmatory_clinical_set!r}{near}"
        )
    strata = [name.strip() for name in settings.strata]
    return messages + [
        f"evaluation.bands: {name!r} is not among evaluation.strata{suggestion(name, strata)}"
        for name in settings.bands
        if name.strip() not in strata
    ]


PREDICTIVE = ("baseline", "treatment")


def check_harmonisation(config: "Config") -> list[str]:
    """Return one message per error in the batch and the covariates."""
    settings = config.harmonisation
    if settings.method == "none":
        return []
    if config.data.source == "clinical":
        return ["harmonisation.method: data.source clinical has no features to harmonise; set it to none"]
    acquisition = list(ACQUISITION) if config.data.source in ("dicom", "nifti") else []
    messages = _column(config, "batch", settings.batch, acquisition)
    for name in settings.covariates:
        messages += _column(config, "covariates", name, [])
        if name.strip() == settings.batch.strip():
            messages.append(f"harmonisation.covariates: {name!r} is the batch itself; remove it")
    return messages


def _column(config: "Config", key: str, name: str, others: list[str]) -> list[str]:
    """Return a message if a column may not be named at `key`."""
    roles = {column.strip(): settings.role for column, settings in config.clinical.columns.items()}
    outcomes = {column.strip() for endpoint in config.endpoints.values() for column in endpoint.columns}
    role = roles.get(name.strip())
    if name.strip() in outcomes or role in ("outcome", "time"):
        return [
            f"harmonisation.{key}: {name!r} is an outcome. Features harmonised with it would contain information about "
            "the outcome, and the performance would be too good. Name columns that are known before the outcome"
        ]
    if name.strip() in others or role in PREDICTIVE:
        return []
    known = [*others, *(column for column, its_role in roles.items() if its_role in PREDICTIVE)]
    what = f"has the role {role}" if role else "has no role in clinical.columns"
    return [f"harmonisation.{key}: {name!r} {what}, but baseline (or treatment) is needed{suggestion(name, known)}"]


def check_stability(config: "Config") -> list[str]:
    """Return one message per perturbation that is too small for the grid of the regions or too large for the crop."""
    settings, regions = config.stability, config.regions
    if not settings.enabled:
        return []
    messages = []
    if settings.margin <= regions.spacing / 2:
        messages.append(
            f"stability.margin: {settings.margin:g} mm is at most half a voxel (regions.spacing {regions.spacing:g} "
            f"mm), so no mask would shrink or grow; set it to {regions.spacing:g} or more"
        )
    if settings.reach > regions.crop_margin:
        messages.append(
            f"regions.crop_margin: perturbed masks may extend {settings.reach:g} mm beyond the drawn masks, but the "
            f"margin of the crop is {regions.crop_margin:g} mm; set it to {settings.reach:g} or more, or set "
            "stability.enabled to false"
        )
    return messages
