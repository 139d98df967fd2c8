"""Write the sentences with which the run answers items of the reporting guidelines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metaswin.core.formatting import FEATURE_SET_NAMES, count, listed
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.methods import guided_training, radiomics_made, threshold_rule
from metaswin.report.notes import capital, division, label_rule, outcome_words
from metaswin.report.summary import summarise


@dataclass(frozen=True)
class Statement:
    """Store a sentence, and whether the run did what the sentence describes."""

    text: str
    done: bool = True


def either(done: bool, yes: str, no: str) -> Statement:
    """Return the statement for the case that applies."""
    return Statement(yes if done else no, done)


def conditions(data: ReportData, config: Mapping[str, Any]) -> dict[str, bool]:
    """Return what this run has, for items that do not apply to every study."""
    modalities = data.endpoints[0].facts["modalities"]
    automatic = "tumor_source" in data.used and bool((data.used["tumor_source"] == "nnunet").any())
    made = config["source"] in ("dicom", "nifti")
    return {
        "images": made,
        "automatic": made and automatic,
        "radiomics": "radiomics" in modalities,
        "features": "radiomics" in modalities or "deep" in modalities,
        "table": True,
        "end_to_end": "deep" in modalities,
    }


def statements(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    """Return every statement by its name, which the lists in ``checklists/`` use."""
    return {
        **_of_the_cohort(data, config),
        **_of_the_images(data, config),
        **_of_the_models(data, config),
        **_of_the_evaluation(data, config),
        **_of_the_results(data, config),
    }


def _of_the_cohort(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    sets = config["clinical"]["sets"]
    named = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in sets.items()) or "all baseline columns"
    source = {
        "dicom": "CT and contours from DICOM, with a clinical table",
        "nifti": "CT and masks as NIfTI, with a clinical table",
        "features": "A given table of image features and a clinical table",
        "clinical": "A clinical table",
    }[config["source"]]
    treated = [name for name, role in data.roles.items() if role == "treatment"]
    rules = {key: value for key, value in config["cohort"].items() if value}
    kept = "; ".join(f"{key}: {value}" for key, value in rules.items()) or "no rules"
    outcomes = "; ".join(outcome_words(endpoint) for endpoint in data.endpoints)
    return {
        "objectives": Statement(f"Development and internal validation of a prediction model. Outcome: {outcomes}."),
        "source": Statement(f"{source}: {count(data.flow['used'], 'patient')}."),
        "eligibility": Statement(f"Settings of the cohort: {kept}. “Cohort” lists the exclusions by code."),
        "treatments": either(
            bool(treated),
            f"Treatment columns ({listed(treated)}) are predictors only in clinical sets that name them. See “Table "
            "1”.",
            "No treatment column was given. Treatment is not used as a predictor.",
        ),
        "outcome": Statement(" ".join(label_rule(endpoint) for endpoint in data.endpoints)),
        "predictors": Statement(
            f"Clinical sets: {named}. Only columns with the role baseline or treatment can be predictors."
        ),
        "protection": Statement(
            "The results identify patients only by the study id. Identifying data are kept in private/."
        ),
        "flow": Statement("“Cohort” shows the flow diagram and every exclusion with its reason."),
        "characteristics": Statement(
            "Table 1 shows characteristics by outcome, with missing values and standardised differences."
        ),
    }


def _of_the_images(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    names = ("segmentation", "resampling", "discretisation", "image_types", "extraction", "classes", "number",
             "defaults", "imaging", "pipeline")  # fmt: skip
    if config["source"] not in ("dicom", "nifti"):
        why = {
            "features": "Features came from a given table. The author must state how they were computed.",
            "clinical": "No images were processed in this run.",
        }[config["source"]]
        checked = Statement("Range and spelling of clinical values were checked.")
        return {**dict.fromkeys(names, Statement(why, False)), "preparation": checked}
    radiomics, regions = config["radiomics"], config["regions"]
    bins = f"{radiomics['bin_count']} bins" if radiomics["bin_count"] else f"bins of {radiomics['bin_width']:g} HU"
    spacing = f"{regions['spacing']:g} mm isotropic"
    rings = listed([f"{low:g} to {high:g} mm" for low, high in regions["rings"]])
    sigmas = listed([f"{sigma:g}" for sigma in radiomics["log_sigma"]])
    return {
        "preparation": Statement(
            f"CT in HU, resampled to {spacing}. Every series, contour and region was checked, and each failure is "
            "reported."
        ),
        "segmentation": Statement(f"Contours: {_counted(data, 'tumor_source')}. Rings around the tumour: {rings}."),
        "resampling": Statement(
            f"Resampled to {spacing}. Interpolation: {regions['image_interpolation']} for the image and "
            f"{regions['mask_interpolation']} for the mask."
        ),
        "discretisation": Statement(f"Fixed {bins}."),
        "image_types": Statement(
            f"{', '.join(radiomics['image_types'])}. LoG sigma: {sigmas} mm. Wavelet: {radiomics['wavelet']}."
        ),
        "extraction": Statement(f"3D, {radiomics_made(config)}."),
        "classes": Statement(
            f"{', '.join(radiomics['feature_classes'])}. Omitted features: "
            f"{', '.join(radiomics['omit_features']) or 'none'}."
        ),
        "number": Statement(
            "1562 features per region with the default settings. “Selected features” shows the numbers after each step."
        ),
        "defaults": Statement(
            "All settings with their defaults are in config/config.yaml. The hash of the settings is in “Run”."
        ),
        "imaging": Statement(
            f"Scanners: {_counted(data, 'manufacturer')}. Table 1 shows slice spacing and kernels if they are known."
        ),
        "pipeline": Statement(
            "“Run” shows the stages and their times. docs/artefacts.md describes the files of each stage."
        ),
    }


def _counted(data: ReportData, column: str) -> str:
    if column not in data.used:
        return "not known"
    counts = data.used[column].fillna("unknown").value_counts()
    return listed([f"{name} {n}" for name, n in counts.items()])


def _of_the_models(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    modalities = data.endpoints[0].facts["modalities"]
    selection, fusion, deep = config["selection"], config["fusion"], config["deep"]
    joined = listed([FEATURE_SET_NAMES.get(modality, modality).lower() for modality in modalities])
    changes = ", ".join(key for key, value in deep["augmentation"].items() if value)
    outcome = f"{deep['epochs']} epochs on the outcome at most, learning rate {deep['learning_rate']:g}. "
    networks = (
        f" {deep['backbone'].capitalize()}: {guided_training(deep)}{outcome if deep['epochs'] else ''}"
        f"Augmentation: {changes}."
    )
    ranked = f"A random forest selected {selection['keep']} features."
    if selection["method"] == "auc":
        ranked = "The others were ranked by their own AUC, and their number was chosen in inner folds."
    judged = [endpoint.rows("stability") for endpoint in data.endpoints]
    stable = any(table is not None and table["judged"].any() for table in judged)
    return {
        "selection": either(
            "radiomics" in modalities,
            "On the training rows, features were dropped if they were missing in more than "
            f"{selection['max_missing']:.0%} of the rows or correlated (|Spearman ρ| > "
            f"{selection['max_correlation']:g}). {ranked}",
            "There are no image features and no feature selection.",
        ),
        "missing": Statement(
            "Patients with unknown outcomes are not used for training. The evaluation uses weights for them. Missing "
            "predictors are imputed by the median of the training rows. Missing categories are a separate level."
        ),
        "scaling": Statement(
            "Numeric columns were scaled and categories one-hot encoded, fitted on the training rows of each fold."
        ),
        "model": Statement(
            f"A fully connected network joins {joined}, with one encoder for each modality. It is an ensemble of "
            f"{fusion['network']['ensemble']} networks. Logistic regression is the reference."
        ),
        "tuning": Statement(
            "Penalties were chosen by log loss on inner out-of-fold predictions."
            + (networks if "deep" in modalities else "")
        ),
        "imbalance": Statement(
            "No resampling and no class weights were used. "
            + (
                "Predictions were recalibrated by intercept and slope."
                if fusion["recalibrate"]
                else "Predictions were not recalibrated."
            )
        ),
        "output": Statement(
            "The output is a probability. The threshold was fitted on inner out-of-fold predictions "
            f"({threshold_rule(config['evaluation'])})."
        ),
        "primary": Statement(
            "The primary feature set and the backbone are fixed in the settings. They are never chosen by a test "
            "result."
        ),
        "specification": Statement(
            "The fitted models of every fold are files of the run (results/models). No pickle files are used."
        ),
        "predictions": Statement("The fitted models of each fold predicted its test rows, which were read once."),
        "stability": either(
            stable,
            "Features that are unstable under perturbed masks were dropped on the training rows of each fold.",
            "Feature stability was not assessed in this run.",
        ),
        "settings": Statement("The configuration file states every setting. Its hash is in “Run”."),
        "code": Statement("metaswin, Apache-2.0. The versions are in “Run”."),
        "new_input": Statement(
            "Missing predictors are imputed by training medians. A patient without a usable image is excluded with a "
            "code."
        ),
    }


def _of_the_evaluation(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    first, by = data.endpoints[0], config["folds"]["by"]
    tables = first.tables
    curves = ["ROC", *(name for key, name in CURVES.items() if key in tables)]
    site, strata = bool(len(tables.get("site", ()))), bool(len(tables["strata"]))
    classifiers = set(first.summary.index.get_level_values("classifier"))
    return {
        "checklists": Statement("This report contains TRIPOD+AI, CLEAR and METRICS."),
        "split": Statement(
            f"{capital(division(first, config['folds']))}. The patients were divided before any model was fitted. "
            "The other folds are the inner folds. Test rows are read once."
        ),
        "measures": Statement(f"Metrics: {listed(_measures(first))}. Curves: {listed(curves)}."),
        "uncertainty": Statement(
            f"{first.confidence:.0%} intervals contain the variance of the test rows and of the fits."
        ),
        "comparison": Statement(
            "Models were compared by paired differences on the same test rows. "
            + ("The confirmatory comparisons are Holm-adjusted. All others are exploratory."
               if "family" in tables["comparisons"]
               else "The comparisons are exploratory and not corrected for multiple testing.")
        ),
        "baselines": either(
            any(endpoint.baselines() for endpoint in data.endpoints),
            "The baselines are tumour volume alone and each named clinical set, in the same folds"
            + (", and published signatures on the same test rows." if data.endpoints[0].signatures else "."),
            "This run has no feature set of volume or of a clinical set.",
        ),
        "simple_model": either(
            "logistic" in classifiers,
            "Logistic regression was fitted on the same inputs in the same folds.",
            "This run has no logistic regression.",
        ),
        "calibration": either(
            "calibration" in tables,
            "The report shows the reliability curve and the calibration intercept and slope.",
            "Calibration was not assessed.",
        ),
        "single_imaging": Statement("There is one CT per patient. Each modality alone is also a feature set."),
        "sample_size": either(
            "sample_size" in tables,
            "“Sample size” shows the events per parameter and Riley's criteria.",
            "Sample size criteria were not computed.",
        ),
        "dimensionality": either(
            _sample_suffices(first),
            "All sample size criteria are met.",
            "Not all sample size criteria are met, or none was computed.",
        ),
        "confounders": either(
            site,
            "The association of site or scanner and outcome was tested. Harmonisation is a setting.",
            "Volume is a baseline. The association of site and outcome was not tested.",
        ),
        "clusters": either(
            site or strata or by is not None,
            ("Each centre is left out once. " if by is not None else "")
            + "The report shows the strata of the settings"
            + (" and the association of site and outcome." if site else "."),
            "Clusters were not modelled.",
        ),
        "fairness": either(
            strata,
            "The report shows the performance within the strata of the settings. The performance was not equalised.",
            "No strata were named in the settings.",
        ),
        "training_test": Statement(
            f"Development and test rows come from different levels of {by} in the same cohort."
            if by is not None
            else "Development and test rows come from random folds of the same cohort."
        ),
        "updating": Statement("No model was updated after the evaluation.", False),
        "testing": Statement("The test was internal, by nested cross-validation. There was no external test."),
        "internal_test": Statement(
            "In the nested cross-validation, the test rows of a fold are read once, after all models are fitted."
        ),
        "external_test": Statement("The model was not tested on patients of another data set.", False),
        "explanation": either(
            "shap_modalities" in tables,
            "“Explanation” shows Shapley values (SHAP) of held-out rows with a background of training rows.",
            "Explanations were not computed in this run.",
        ),
    }  # fmt: skip


CURVES = {"pr": "precision-recall", "calibration": "calibration", "decision": "decision"}


def _measures(endpoint: Endpoint) -> list[str]:
    more = {"pr_auc": "PR-AUC", "brier": "Brier score", "calibration_slope": "calibration intercept and slope"}
    found = [name for key, name in more.items() if endpoint.has(key)]
    found += ["net benefit"] if "decision" in endpoint.tables else []
    return ["AUC", "accuracy", "sensitivity", "specificity", *found]


def _sample_suffices(endpoint: Endpoint) -> bool:
    table = endpoint.tables.get("sample_size")
    if table is None:
        return False
    met = table[(table["feature_set"] == endpoint.primary) & (table["classifier"] == endpoint.classifier)]["met"]
    return len(met) > 0 and bool(met.notna().all() and met.astype(bool).all())


def _of_the_results(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    counts = "; ".join(
        f"{e.name}: {int(e.counts['n']):,} known, {int(e.counts['events']):,} events" for e in data.endpoints
    )
    primary = "; ".join(f"{e.name}: AUC {e.metric(e.primary, e.classifier).text}" for e in data.endpoints)
    return {
        "analyses": Statement(f"{counts}. The numbers of every fold are in tables/folds-*.csv."),
        "performance": Statement(f"{primary}. “Results” shows all feature sets and strata with intervals."),
        "clusters_result": either(
            any(len(endpoint.tables["strata"]) for endpoint in data.endpoints),
            "“Strata” shows the results with intervals. Small counts are suppressed.",
            "No strata were named in the settings.",
        ),
        "comparison_result": either(
            any(endpoint.baselines() for endpoint in data.endpoints),
            "See “Comparison with the baselines”.",
            "This run has no baseline to compare with.",
        ),
        "feature_statistics": either(
            any(len(endpoint.selection) for endpoint in data.endpoints),
            "“Selected features” shows the numbers dropped at each step and the features selected in each fold.",
            "No features were selected.",
        ),
        "summary": Statement(" ".join(text for _, text in summarise(data.endpoints[0]))),
        "limitations": Statement("See “Limits”."),
    }
