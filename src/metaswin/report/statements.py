"""What the run can say of itself, in sentences that reporting guidelines ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metaswin.core.formatting import FEATURE_SET_NAMES, count, listed
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.methods import radiomics_made, threshold_rule
from metaswin.report.notes import capital, division, label_rule, outcome_words
from metaswin.report.summary import summarise


@dataclass(frozen=True)
class Statement:
    """A sentence, and whether the run did what it is about."""

    text: str
    done: bool = True


def either(done: bool, yes: str, no: str) -> Statement:
    """A statement for both cases."""
    return Statement(yes if done else no, done)


def conditions(data: ReportData, config: Mapping[str, Any]) -> dict[str, bool]:
    """What this run has, for items that do not apply to every study."""
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
    """Every statement by name; the lists in ``checklists/`` name them."""
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
        "features": "A ready table of image features and a clinical table",
        "clinical": "A clinical table",
    }[config["source"]]
    treated = [name for name, role in data.roles.items() if role == "treatment"]
    rules = {key: value for key, value in config["cohort"].items() if value}
    kept = "; ".join(f"{key}: {value}" for key, value in rules.items()) or "no rule in the settings"
    outcomes = "; ".join(outcome_words(endpoint) for endpoint in data.endpoints)
    return {
        "objectives": Statement(f"Development and internal validation of a model of {outcomes}."),
        "source": Statement(f"{source}: {count(data.flow['used'], 'patient')}."),
        "eligibility": Statement(f"Settings of the cohort: {kept}. Exclusions by code are in “Cohort”."),
        "treatments": either(
            bool(treated),
            f"Treatment columns {listed(treated)} predict only where a clinical set names them; see “Table 1”.",
            "No treatment column was given; treatment does not predict.",
        ),
        "outcome": Statement(" ".join(label_rule(endpoint) for endpoint in data.endpoints)),
        "predictors": Statement(
            f"Clinical sets: {named}. Only columns with the role baseline or treatment can predict."
        ),
        "protection": Statement("Results identify patients by the study id only; identifying data stay in private/."),
        "flow": Statement("Flow diagram and every exclusion with its reason: “Cohort”."),
        "characteristics": Statement("Table 1, by outcome, with missing values and standardised differences."),
    }


def _of_the_images(data: ReportData, config: Mapping[str, Any]) -> dict[str, Statement]:
    names = ("segmentation", "resampling", "discretisation", "image_types", "extraction", "classes", "number",
             "defaults", "imaging", "pipeline")  # fmt: skip
    if config["source"] not in ("dicom", "nifti"):
        why = {
            "features": "Features came from a ready table; how they were made is the author's to state.",
            "clinical": "No images were processed in this run.",
        }[config["source"]]
        checked = Statement("Clinical values were checked for range and spelling.")
        return {**dict.fromkeys(names, Statement(why, False)), "preparation": checked}
    radiomics, regions = config["radiomics"], config["regions"]
    bins = f"{radiomics['bin_count']} bins" if radiomics["bin_count"] else f"bins of {radiomics['bin_width']:g} HU"
    spacing = f"{regions['spacing']:g} mm isotropic"
    rings = listed([f"{low:g} to {high:g} mm" for low, high in regions["rings"]])
    sigmas = listed([f"{sigma:g}" for sigma in radiomics["log_sigma"]])
    return {
        "preparation": Statement(
            f"CT in HU, resampled to {spacing}; every series, contour and region is checked, and what fails is named."
        ),
        "segmentation": Statement(f"Contours: {_counted(data, 'tumor_source')}; rings around the tumour: {rings}."),
        "resampling": Statement(
            f"{spacing}; image {regions['image_interpolation']}, mask {regions['mask_interpolation']}."
        ),
        "discretisation": Statement(f"Fixed {bins}."),
        "image_types": Statement(
            f"{', '.join(radiomics['image_types'])}; LoG sigma {sigmas} mm; wavelet {radiomics['wavelet']}."
        ),
        "extraction": Statement(f"3D, {radiomics_made(config)}."),
        "classes": Statement(
            f"{', '.join(radiomics['feature_classes'])}; omitted: {', '.join(radiomics['omit_features']) or 'none'}."
        ),
        "number": Statement(
            "1562 features a region with the default settings; numbers after each step are in “Selected features”."
        ),
        "defaults": Statement("All settings with their defaults are in config/config.yaml; their hash is in “Run”."),
        "imaging": Statement(
            f"Scanners: {_counted(data, 'manufacturer')}; slice spacing and kernels, where known, are in Table 1."
        ),
        "pipeline": Statement("Stages and their times are in “Run”; the flow of files is in docs/artefacts.md."),
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
    networks = (
        f" {deep['backbone'].capitalize()}: {deep['epochs']} epochs at most, learning rate "
        f"{deep['learning_rate']:g}, augmentation {changes}."
    )
    ranked = f"{selection['keep']} kept by a random forest"
    if selection["method"] == "auc":
        ranked = "the rest ranked by own AUC, their number chosen in inner folds"
    judged = [endpoint.rows("stability") for endpoint in data.endpoints]
    stable = any(table is not None and table["judged"].any() for table in judged)
    return {
        "selection": either(
            "radiomics" in modalities,
            f"On training rows: missing in > {selection['max_missing']:.0%} dropped, |Spearman ρ| > "
            f"{selection['max_correlation']:g} dropped, {ranked}.",
            "No image features: no selection.",
        ),
        "missing": Statement(
            "Unknown outcomes are never trained on and are weighted for in evaluation; predictors are imputed by the "
            "training rows' median, missing categories are a level of their own."
        ),
        "scaling": Statement("Numeric columns scaled, categories one-hot, fitted on the training rows of each fold."),
        "model": Statement(
            f"Fully connected network over {joined}, one encoder each, an ensemble of "
            f"{fusion['network']['ensemble']}; logistic regression as reference."
        ),
        "tuning": Statement(
            "Penalties chosen by log loss on inner out-of-fold predictions."
            + (networks if "deep" in modalities else "")
        ),
        "imbalance": Statement(
            "No resampling and no class weights; "
            + ("recalibrated by intercept and slope." if fusion["recalibrate"] else "no recalibration.")
        ),
        "output": Statement(
            "A probability; threshold fitted on inner out-of-fold predictions "
            f"({threshold_rule(config['evaluation'])})."
        ),
        "primary": Statement(
            "Primary feature set and backbone are fixed in the settings, never chosen by a test result."
        ),
        "specification": Statement("Fitted models of every fold are files of the run (results/models), no pickles."),
        "predictions": Statement("By the fitted models of each fold on its test rows, read once."),
        "stability": either(
            stable,
            "Unstable features under perturbed masks are dropped on training rows of the fold.",
            "Feature stability was not assessed in this run.",
        ),
        "settings": Statement("The configuration file states every setting; its hash is in “Run”."),
        "code": Statement("metaswin, Apache-2.0; versions are in “Run”."),
        "new_input": Statement(
            "Missing predictors are imputed by training medians; a patient without a usable image is excluded with a "
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
        "checklists": Statement("TRIPOD+AI, CLEAR and METRICS, in this report."),
        "split": Statement(
            f"{capital(division(first, config['folds']))}, by patient, made before anything is fitted; "
            "the other folds serve as inner folds; test rows are read once."
        ),
        "measures": Statement(f"{listed(_measures(first))}; {listed(curves)} curves."),
        "uncertainty": Statement(
            f"{first.confidence:.0%} intervals with the variance of the test rows and of the fits."
        ),
        "comparison": Statement(
            "Paired differences on the same test rows; "
            + ("Holm over the confirmatory comparisons, the rest exploratory." if "family" in tables["comparisons"]
               else "exploratory, not corrected for their number.")
        ),
        "baselines": either(
            any(endpoint.baselines() for endpoint in data.endpoints),
            "Tumour volume alone and each named clinical set, in the same folds"
            + (", and published signatures on the same test rows." if data.endpoints[0].signatures else "."),
            "This run has no feature set of volume or of a clinical set.",
        ),
        "simple_model": either(
            "logistic" in classifiers,
            "Logistic regression on the same inputs, in the same folds.",
            "This run has no logistic regression.",
        ),
        "calibration": either(
            "calibration" in tables, "Reliability curve, intercept and slope.", "Calibration was not assessed."
        ),
        "single_imaging": Statement("One CT a patient; each modality is a feature set of its own."),
        "sample_size": either(
            "sample_size" in tables,
            "Events per parameter and Riley's criteria are under “Sample size”.",
            "No criterion of sample size was computed.",
        ),
        "dimensionality": either(
            _sample_suffices(first),
            "All criteria of sample size are met.",
            "Not all criteria of sample size are met, or none was computed.",
        ),
        "confounders": either(
            site,
            "The association of site or scanner and outcome is tested; harmonisation is a setting.",
            "Volume is a baseline; the association of site and outcome was not tested.",
        ),
        "clusters": either(
            site or strata or by is not None,
            f"{'Each centre is left out once; strata' if by is not None else 'Strata'} of the settings"
            + ("; the association of site and outcome." if site else "."),
            "No clusters were modelled.",
        ),
        "fairness": either(
            strata,
            "Performance within the strata of the settings; nothing was done to equalise it.",
            "No strata were named in the settings.",
        ),
        "training_test": Statement(
            f"Development and test rows come from different levels of {by} in the same cohort."
            if by is not None
            else "Development and test rows come from the same cohort, by random folds."
        ),
        "updating": Statement("No model was updated after evaluation.", False),
        "testing": Statement("Internal: nested cross-validation. No external testing."),
        "internal_test": Statement("Nested cross-validation: test rows of a fold are read once, after all fitting."),
        "external_test": Statement("No patients from elsewhere.", False),
        "explanation": either(
            "shap_modalities" in tables,
            "SHAP on held-out rows with a training background; see “Explanation”.",
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
        "analyses": Statement(f"{counts}. Numbers of every fold are in tables/folds-*.csv."),
        "performance": Statement(f"{primary}; all feature sets and strata with intervals in “Results”."),
        "clusters_result": either(
            any(len(endpoint.tables["strata"]) for endpoint in data.endpoints),
            "Strata with intervals, small cells suppressed.",
            "No strata were named in the settings.",
        ),
        "comparison_result": either(
            any(endpoint.baselines() for endpoint in data.endpoints),
            "“Against the baselines”.",
            "This run has no baseline to compare with.",
        ),
        "feature_statistics": either(
            any(len(endpoint.selection) for endpoint in data.endpoints),
            "Numbers dropped at each step and features kept in each fold: “Selected features”.",
            "No feature was selected.",
        ),
        "summary": Statement(" ".join(text for _, text in summarise(data.endpoints[0]))),
        "limitations": Statement("See “Limits”."),
    }
