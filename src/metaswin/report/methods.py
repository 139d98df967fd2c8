"""Write the methods paragraph for a manuscript."""

from collections.abc import Mapping
from typing import Any

from metaswin.core.formatting import FEATURE_SET_NAMES, count, feature_set_name, listed
from metaswin.report.controls import made
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.notes import division, outcome_words

DEEP_SCORES = {
    "cross-fitted": "The fusion used its scores, which were cross-fitted within the training rows.",
    "in-sample": "The fusion used its scores of the rows on which it was trained, which is optimistic.",
}


def methods(data: ReportData, config: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Return a methods paragraph for a manuscript."""
    first = data.endpoints[0]
    endpoints = "; ".join(_endpoint_in_methods(endpoint) for endpoint in data.endpoints)
    horizons = any(endpoint.suffix for endpoint in data.endpoints)
    used = [f"{name} {versions[name]}" for name in ("metaswin", "snakemake", "torch", "monai") if name in versions]
    parts = [
        f"We analysed {count(data.flow['used'], 'patient')} for {endpoints}.",
        _deaths_in_methods(data) if horizons else "",
        f"Performance was estimated by {division(first, config['folds'])}. "
        "Imputation, scaling, feature selection, networks and thresholds were fitted only on the training rows of each "
        "fold.",
        *_features_in_methods(first.facts["modalities"], config),
        "Thresholds were fitted on inner out-of-fold predictions of the training rows "
        f"({threshold_rule(config['evaluation'])}).",
        f"We report means over folds with {first.confidence:.0%} intervals. Their variance is the variance of the test "
        "rows (influence functions; for the AUC, DeLong et al. 1988) plus the variance of the fits (delete-one-fold "
        "jackknife, at most the correction of Nadeau & Bengio 2003). Feature sets were compared by paired differences "
        "on the same test rows.",
        _confirmatory(first),
        _signatures(first),
        *_beside_the_fusion(data, config),
        "Unknown outcomes were handled by inverse-probability-of-censoring weights from Kaplan–Meier estimates in the "
        "training rows (Uno et al. 2007)."
        if horizons
        else "",
        f"Software: {', '.join(used)}, Python {versions['Python']}.",
    ]
    return " ".join(part for part in parts if part)


def _confirmatory(endpoint: Endpoint) -> str:
    """Describe the confirmatory comparisons."""
    table = endpoint.tables["comparisons"]
    against = table.loc[table["family"] == "confirmatory", "against"].unique() if "family" in table else []
    if not len(against):
        return ""
    names = [feature_set_name(feature_set) for feature_set in against]
    return (
        "The confirmatory comparisons were the differences in AUC from "
        f"{listed([name[:1].lower() + name[1:] for name in names])}, adjusted by Holm's method. "
        "All other comparisons are exploratory."
    )


def _signatures(endpoint: Endpoint) -> str:
    """Describe the published signatures; return an empty text if there are none."""
    titles = [signature["title"] for signature in endpoint.signatures]
    if not titles:
        return ""
    return (
        f"Published signatures ({listed(titles)}) were computed with their own extraction settings and coefficients, "
        "without any fitting, and compared on the same test rows."
    )


def _beside_the_fusion(data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """Describe harmonisation, stability, time to event and controls, if the run has them."""
    parts = []
    endpoints = data.endpoints
    if "radiomics" in endpoints[0].facts["modalities"] and config["harmonisation"]["method"] == "combat":
        parts.append(
            f"Radiomic features were harmonised over {config['harmonisation']['batch']} by ComBat fitted on training "
            "rows, without the outcome."
        )
    if any(endpoint.rows("stability") is not None for endpoint in endpoints):
        parts.append(
            "Features had to be stable under perturbed masks, with a lower 95% limit of the intraclass correlation of "
            f"at least {config['stability']['min_icc']:g} in training patients."
        )
    if any(endpoint.rows("survival") is not None for endpoint in endpoints):
        parts.append(
            "Time to metastasis was modelled by a hazard network with death as a competing event. Cumulative incidence "
            "was estimated by Aalen–Johansen, and risk groups were compared by Gray's test."
        )
    named = {"shuffled": "voxel-shuffled regions", "permuted": "permuted outcomes"}
    run = [text for name, text in named.items() if any(name in set(made(e)["control"]) for e in endpoints)]
    if run:
        parts.append(f"Negative controls were {listed(run)}. The models were refitted for each of them.")
    return parts


def _endpoint_in_methods(endpoint: Endpoint) -> str:
    n = endpoint.counts
    unknown = f", {int(n['unknown']):,} unknown" if endpoint.horizon is not None else ""
    return f"{outcome_words(endpoint)} ({int(n['events']):,} events, {int(n['nonevents']):,} non-events{unknown})"


def _deaths_in_methods(data: ReportData) -> str:
    rules = {endpoint.facts["deaths"] for endpoint in data.endpoints} - {None}
    if rules == {"nonevent"}:
        return "Deaths before the horizon without distant metastasis counted as non-events."
    if rules == {"exclude"}:
        return "Patients who died before the horizon without distant metastasis were excluded."
    return (
        "Deaths before the horizon without distant metastasis counted as non-events, except for endpoints for which "
        "the exclusion of these patients is stated."
    )


def radiomics_made(config: Mapping[str, Any]) -> str:
    """Describe how the features were computed, for the brackets in the methods paragraph."""
    if config["source"] == "features":
        return "from a given table"
    radiomics = config["radiomics"]
    engine = "PyRadiomics" if radiomics["engine"] == "pyradiomics" else "PyRadiomics' definitions, metaswin's engine"
    bins = f"{radiomics['bin_count']} bins" if radiomics.get("bin_count") else f"bins of {radiomics['bin_width']:g} HU"
    return (
        f"{engine}; {config['regions']['spacing']:g} mm voxels, {bins}, image types "
        f"{', '.join(radiomics['image_types'])}"
    )


def _ranking(selection: Mapping[str, Any]) -> str:
    """Describe how the features were ranked and how many were selected."""
    if selection["method"] == "auc":
        return (
            "The remaining features were ranked by their own AUC on the training rows. Their number was chosen from "
            f"{listed([str(number) for number in selection['keep_choices']])} by the log loss of a ridge logistic "
            "regression in inner folds of the training rows."
        )
    return (
        f"The {selection['keep']} features ranked highest by a random forest of {selection['trees']} trees were kept."
    )


def _features_in_methods(modalities: list[str], config: Mapping[str, Any]) -> list[str]:
    selection, deep = config["selection"], config["deep"]
    parts = []
    if "radiomics" in modalities:
        parts.append(
            f"Radiomic features ({radiomics_made(config)}) were dropped if they were missing in more than "
            f"{selection['max_missing']:.0%} of the training rows, constant, or correlated "
            f"(|Spearman ρ| > {selection['max_correlation']:g}) with a selected feature. {_ranking(selection)}"
        )
    if "deep" in modalities:
        backbone = {"swin": "3D Swin Transformer", "resnet": "3D ResNet", "densenet": "3D DenseNet"}[deep["backbone"]]
        parts.append(
            f"A {backbone} was trained on CT patches around the tumour in each fold. "
            + guided_training(deep)
            + DEEP_SCORES[config["fusion"]["deep_score"]]
        )
    if "embedding" in modalities:
        source = "of a table" if config["embedding"]["table"] else "of an encoder that was not trained in this study"
        parts.append(
            f"The embeddings {source} were reduced to at most {config['fusion']['embedding_components']} principal "
            "components, fitted on the training rows of each fit."
        )
    if len(modalities) > 1:
        names = listed([FEATURE_SET_NAMES.get(modality, modality).lower() for modality in modalities])
        parts.append(f"A fully connected network with one encoder per modality joined the modalities ({names}).")
    else:
        parts.append("Predictions were made by a fully connected network.")
    parts.append("Logistic regression was the reference.")
    return parts


def threshold_rule(evaluation: Mapping[str, Any]) -> str:
    """Describe how thresholds were found."""
    if evaluation["threshold"] == "sensitivity":
        return f"the highest threshold with a sensitivity of {evaluation['sensitivity']:g}"
    return "the highest Youden index"


def guided_training(deep: Mapping[str, Any]) -> str:
    """Describe the first phase of the networks' training; empty if there was none."""
    if not deep["components"] or not deep["pretrain_epochs"]:
        return ""
    then = (
        "All weights then learned the outcome. "
        if deep["epochs"]
        else "Its score is a regression of the outcome on the predicted components (a discrete-time hazard model if "
        "the endpoint has times, otherwise a logistic regression). "
    )
    return (
        f"Its encoder learned, for {count(deep['pretrain_epochs'], 'epoch')}, to predict the first "
        f"{deep['components']} principal components of the training rows' radiomics features. {then}"
    )
