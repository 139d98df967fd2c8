"""Mistakes of a configuration that no single setting shows: what one section says of another."""

from metaswin.config.model import Config
from metaswin.errors import suggestion

WAY_IN = {"dicom": "dicom", "nifti": "sheet", "features": "features"}


def check_consistency(config: Config) -> list[str]:
    """Messages on mistakes that need no file to be seen."""
    from metaswin.evaluation.check import check_evaluation
    from metaswin.fusion.check import check_arms
    from metaswin.harmonisation.check import check_harmonisation
    from metaswin.stability.check import check_stability
    from metaswin.survival.arms import check_hazard_arms

    messages = [f"data.{key} is not set, but {why}; give its path" for key, why in needed_paths(config).items() if
                getattr(config.data, key) is None]  # fmt: skip
    if config.clinical.table is None:
        messages.append("clinical.table is not set; give the path of the clinical table (CSV)")
    if not config.endpoints and config.predict.bundle is None:
        messages.append("endpoints is empty; name what to predict, such as a 0/1 column (see config/examples)")
    for name in config.endpoints:
        if not name.replace("_", "").isalnum():
            messages.append(f"endpoints.{name}: a name may hold letters, digits and _ only")
    messages += _check_roles(config)
    if config.data.source in ("dicom", "nifti"):
        messages += _check_regions(config) + _check_organs(config) + check_stability(config)
    messages += check_harmonisation(config) + check_arms(config)
    return messages + check_hazard_arms(config) + check_evaluation(config)


def needed_paths(config: Config) -> dict[str, str]:
    """Paths of `data` that this configuration needs → why."""
    source = config.data.source
    needed = {WAY_IN[source]: f"data.source is {source}"} if source in WAY_IN else {}
    if source == "dicom" and config.ingest.tumor_source == "nifti":
        needed["sheet"] = "ingest.tumor_source is nifti"
    return needed


def _check_roles(config: Config) -> list[str]:
    """Predictors and strata must be known before the outcome; an outcome must not predict."""
    from metaswin.evaluation.check import scanner_strata

    messages = []
    roles = {name.strip(): column.role for name, column in config.clinical.columns.items()}
    predictive = [name for name, role in roles.items() if role in ("baseline", "treatment")]
    for title, names in [
        *((f"clinical.sets.{key}", columns) for key, columns in config.clinical.sets.items()),
        ("folds.stratify", config.folds.stratify),
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


def _check_regions(config: Config) -> list[str]:
    """Regions that radiomics names but nobody makes."""
    from metaswin.regions.settings import ring_name

    made = ["tumor", "primary", "nodes", "rings", *(ring_name(ring) for ring in config.regions.rings)]
    unknown = [name for name in config.radiomics.regions if name not in made]
    messages = [f"radiomics.regions: nobody makes {name!r}{suggestion(name, made)}" for name in unknown]
    if "tumor" not in config.radiomics.regions and "radiomics" in config.fusion.modalities:
        messages.append("radiomics.regions lacks tumor, which the modality radiomics is made of; add it")
    return messages


def _check_organs(config: Config) -> list[str]:
    """Organs, tissues and groups that are named but that the backend does not make."""
    from metaswin.organs.settings import TISSUES

    if config.organs.backend == "masks":
        return []
    made = list(TISSUES)
    if config.organs.backend == "totalsegmentator":
        from metaswin.organs.catalogue import drawn

        settings = config.organs.totalsegmentator
        made = [*(TISSUES if settings.tissues else ()), *drawn(settings.tasks, settings.structures)]
        unknown = [name for name in settings.structures if name not in drawn(["total"], [])]
        if unknown:
            return [f"organs.totalsegmentator.structures: `total` does not draw {', '.join(unknown)}"]
    known = [*made, *config.organs.groups]
    groups = config.patches.organ_groups
    named = [("regions.ring_excludes", name) for name in config.regions.ring_excludes]
    named += [(f"patches.organ_groups.{group}", name) for group, names in groups.items() for name in names]
    return [
        f"{setting}: organs.backend {config.organs.backend} does not make {name!r}{suggestion(name, known)}"
        for setting, name in named
        if name not in known
    ]
