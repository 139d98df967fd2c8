from metaswin.config.feature_sets import clinical_sets
from metaswin.evaluation.control_plan import joins, permutation_batches, permutes_deep, reasons

# Evaluate all feature sets of all endpoints: performance, curves, comparisons, strata, sample size.


rule evaluate:
    input:
        predictions=every_fold(fold_folder("fusion/predictions.parquet")),
        fits=every_fold(fold_folder("fusion/fits.json")),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        signatures=results("features/signatures.parquet") if SIGNATURES else [],
    output:
        predictions=results("evaluation/predictions.parquet"),
        folds=results("evaluation/folds.parquet"),
        summary=results("evaluation/summary.parquet"),
        comparisons=results("evaluation/comparisons.parquet"),
        strata=results("evaluation/strata.parquet"),
        centres=results("evaluation/centres.parquet"),
        between_centres=results("evaluation/between_centres.parquet"),
        roc=results("evaluation/roc.parquet"),
        pr=results("evaluation/pr.parquet"),
        calibration=results("evaluation/calibration.parquet"),
        decision=results("evaluation/decision.parquet"),
        delong=results("evaluation/delong.parquet"),
        sample_size=results("evaluation/sample_size.parquet"),
        deaths=results("evaluation/deaths.parquet"),
        facts=results("evaluation/facts.json"),
    log:
        logs("evaluate"),
    benchmark:
        benchmarks("evaluate")
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=30,
        disk_mb=1000,
    params:
        settings=section("evaluation"),
        sets=clinical_sets(CONFIG.clinical),
        seed=CONFIG.seed,
        signatures=SIGNATURES,
        code=code("evaluation/evaluate"),
    message:
        "Evaluate all feature sets"
    script:
        "../scripts/evaluation/evaluate.py"


rule measure_optimism:
    input:
        predictions=every_fold(fold_folder("fusion/predictions.parquet")),
        fits=every_fold(fold_folder("fusion/fits.json")),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        deep=every_fold(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")) if USES_DEEP else [],
    output:
        optimism=results("evaluation/optimism.parquet"),
    log:
        logs("measure_optimism"),
    benchmark:
        benchmarks("measure_optimism")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=50,
    params:
        backbone=section("deep.backbone"),
        code=code("evaluation/measure_optimism"),
    message:
        "Compare the AUC on training rows with the AUC on other rows"
    script:
        "../scripts/evaluation/measure_optimism.py"


rule evaluation:
    input:
        rules.evaluate.output,
        rules.measure_optimism.output,


# Time to event: evaluate the predictions of the hazard models.
if SURVIVAL:

    rule evaluate_survival:
        input:
            predictions=every_fold(fold_folder("survival/predictions.parquet"), SURVIVAL_ENDPOINTS),
            fits=every_fold(fold_folder("survival/fits.json"), SURVIVAL_ENDPOINTS),
            folds=expand(results("folds/{endpoint}.parquet"), endpoint=SURVIVAL_ENDPOINTS),
            facts=expand(results("folds/{endpoint}.json"), endpoint=SURVIVAL_ENDPOINTS),
        output:
            summary=results("evaluation/survival.parquet"),
            folds=results("evaluation/survival_folds.parquet"),
            curves=results("evaluation/survival_curves.parquet"),
            calibration=results("evaluation/survival_calibration.parquet"),
            tests=results("evaluation/survival_tests.parquet"),
            facts=results("evaluation/survival.json"),
        log:
            logs("evaluate_survival"),
        benchmark:
            benchmarks("evaluate_survival")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=20,
            disk_mb=100,
        params:
            settings=section("survival"),
            confidence=CONFIG.evaluation.confidence,
            code=code("evaluation/evaluate_survival"),
        message:
            "Evaluate the hazard models"
        script:
            "../scripts/evaluation/evaluate_survival.py"


rule survival:
    input:
        rules.evaluate_survival.output if SURVIVAL else [],


# Controls: selection before the split, radiomics of shuffled regions, permuted outcomes.

CONTROLLED = CONFIG.controls
NOT_APPLICABLE = reasons(CONFIG)
VARIANTS = [name for name in ("leaky", "shuffled") if getattr(CONTROLLED, name) and name not in NOT_APPLICABLE]
PERMUTATIONS = (
    permutation_batches(CONTROLLED.permutation) if CONTROLLED.permuted and "permuted" not in NOT_APPLICABLE else {}
)
PERMUTES_DEEP = bool(PERMUTATIONS) and USES_DEEP and joins(CONFIG, "deep") and permutes_deep(CONFIG)


if IMAGES:

    rule extract_shuffled:
        input:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("radiomics-shuffled/{patient}.parquet"),
            status=results("radiomics-shuffled/{patient}.status.json"),
        log:
            logs("extract_shuffled/{patient}"),
        benchmark:
            benchmarks("extract_shuffled/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=30,
            disk_mb=100,
        params:
            settings=section("radiomics"),
            details=DETAILS,
            seed=CONFIG.seed,
            code=code("evaluation/extract_shuffled"),
        message:
            "Extract the radiomics of {wildcards.patient} with shuffled voxels"
        script:
            "../scripts/evaluation/extract_shuffled.py"

    rule collect_shuffled:
        input:
            tables=of_planned("radiomics-shuffled/{patient}.parquet"),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/radiomics-shuffled.parquet"),
        log:
            logs("collect_shuffled"),
        benchmark:
            benchmarks("collect_shuffled")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=1000,
        params:
            code=code("features/collect_radiomics"),
        message:
            "Join the radiomics of all patients with shuffled voxels"
        script:
            "../scripts/features/collect_radiomics.py"


# The folds for training the networks with deep: once.
rule permute_folds:
    input:
        folds=results("folds/{endpoint}.parquet"),
        clinical=results("cohort/clinical.parquet"),
    output:
        folds=results("controls/{endpoint}/folds.parquet"),
    log:
        logs("permute_folds/{endpoint}"),
    benchmark:
        benchmarks("permute_folds/{endpoint}")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=10,
    params:
        settings=section("folds"),
        seed=CONFIG.seed,
        code=code("evaluation/permute_folds"),
    message:
        "Make the folds of {wildcards.endpoint} with a permuted outcome"
    script:
        "../scripts/evaluation/permute_folds.py"


rule permute_outcome:
    input:
        folds=results("folds/{endpoint}.parquet"),
        facts=results("folds/{endpoint}.json"),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        features=results("features/radiomics.parquet") if HAS_RADIOMICS else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        embedding=results("features/embedding.parquet") if EMBEDDING else [],
        perturbed=results("features/perturbed.parquet") if STABILITY else [],
        deep=(
            first_repeat(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet"), "as-is")
            if PERMUTES_DEEP
            else []
        ),
        deep_permuted=(
            first_repeat(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet"), "permuted")
            if PERMUTES_DEEP
            else []
        ),
    output:
        permutations=results("controls/{endpoint}/permutations-{chunk}.parquet"),
    log:
        logs("permute_outcome/{endpoint}/{chunk}"),
    benchmark:
        benchmarks("permute_outcome/{endpoint}/{chunk}")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=240,
        disk_mb=10,
    params:
        permutations=lambda wildcards: PERMUTATIONS[wildcards.chunk],
        folds=section("folds"),
        stability=section("stability"),
        harmonisation=section("harmonisation"),
        selection=section("selection"),
        fusion=section("fusion"),
        # The number of permutations and the batch size do not change a permutation.
        permutation=CONTROLLED.permutation.model_dump(mode="json", exclude={"n", "batch"}),
        sets=clinical_sets(CONFIG.clinical),
        primary_classifier=CONFIG.evaluation.primary_classifier,
        has_deep=USES_DEEP,
        seed=CONFIG.seed,
        code=code("evaluation/permute_outcome"),
    message:
        "Refit on permuted outcomes: {wildcards.endpoint}, batch {wildcards.chunk}"
    script:
        "../scripts/evaluation/permute_outcome.py"


rule evaluate_controls:
    input:
        as_is=results("evaluation/folds.parquet"),
        facts=results("evaluation/facts.json"),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        folds_facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        run_predictions=every_fold(fold_folder("fusion/predictions.parquet"), variant="as-is"),
        run_fits=every_fold(fold_folder("fusion/fits.json"), variant="as-is"),
        leaky_predictions=(
            every_fold(fold_folder("fusion/predictions.parquet"), variant="leaky") if "leaky" in VARIANTS else []
        ),
        leaky_fits=every_fold(fold_folder("fusion/fits.json"), variant="leaky") if "leaky" in VARIANTS else [],
        shuffled_predictions=(
            every_fold(fold_folder("fusion/predictions.parquet"), variant="shuffled") if "shuffled" in VARIANTS else []
        ),
        shuffled_fits=every_fold(fold_folder("fusion/fits.json"), variant="shuffled") if "shuffled" in VARIANTS else [],
        permutations=expand(
            results("controls/{endpoint}/permutations-{chunk}.parquet"), endpoint=ENDPOINTS, chunk=PERMUTATIONS
        ),
    output:
        controls=results("evaluation/controls.parquet"),
        permutations=results("evaluation/permutations.parquet"),
    log:
        logs("evaluate_controls"),
    benchmark:
        benchmarks("evaluate_controls")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=10,
        disk_mb=10,
    params:
        settings=section("controls"),
        reasons=NOT_APPLICABLE,
        confidence=CONFIG.evaluation.confidence,
        penalties={
            "network": CONFIG.fusion.network.penalties,
            "logistic": CONFIG.fusion.logistic_penalties,
        },
        selection=CONFIG.selection.method,
        code=code("evaluation/evaluate_controls"),
    message:
        "Compare the controls with the run"
    script:
        "../scripts/evaluation/evaluate_controls.py"


rule controls:
    input:
        rules.evaluate_controls.output,


# Explain the predictions of the primary feature set: Shapley values in each fold, and occlusion maps of the deep
# network.
SHAP_TABLES = [f"{what}{classifier}" for what in ("modalities", "features") for classifier in ("", "_logistic")]
MAPPED = USES_DEEP and CONFIG.explanation.maps > 0


rule explain_fusion:
    input:
        folds=folds_of,
        clinical=results("cohort/clinical.parquet"),
        tables=repeat_folder("tables") if USES_RADIOMICS else [],
        volume=repeat_folder("volume.parquet") if HAS_RADIOMICS else [],
        deep=deep_of if USES_DEEP else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        embedding=results("features/embedding.parquet") if EMBEDDING else [],
        predictions=fold_folder("fusion/predictions.parquet"),
        fits=fold_folder("fusion/fits.json"),
        models=fold_folder("fusion/models"),
    output:
        modalities=fold_folder("explanation/modalities.parquet"),
        features=fold_folder("explanation/features.parquet"),
    log:
        logs("explain_fusion/{endpoint}/{variant}/r{repeat}/fold-{fold}"),
    benchmark:
        benchmarks("explain_fusion/{endpoint}/{variant}/r{repeat}/fold-{fold}")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
        disk_mb=20,
    params:
        settings=section("explanation"),
        sets=clinical_sets(CONFIG.clinical),
        seed=CONFIG.seed,
        code=code("evaluation/explain_fusion"),
    message:
        "Explain the primary feature set: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
    script:
        "../scripts/evaluation/explain_fusion.py"


rule collect_explanation:
    input:
        modalities=every_fold(fold_folder("explanation/modalities.parquet")),
        features=every_fold(fold_folder("explanation/features.parquet")),
    output:
        **{name: results(f"explanation/{{endpoint}}/shap_{name}.parquet") for name in SHAP_TABLES},
    log:
        logs("collect_explanation/{endpoint}"),
    benchmark:
        benchmarks("collect_explanation/{endpoint}")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=20,
    params:
        code=code("evaluation/collect_explanation"),
    message:
        "Collect the explanation of {wildcards.endpoint} over all folds"
    script:
        "../scripts/evaluation/collect_explanation.py"


if MAPPED:

    rule map_occlusion:
        input:
            predictions=every_fold(fold_folder("fusion/predictions.parquet")),
            fits=every_fold(fold_folder("fusion/fits.json")),
            folds=results("folds/{endpoint}.parquet"),
            networks=every_fold(final_folder(f"deep/{CONFIG.deep.backbone}/network.safetensors")),
            patches=results("features/patches.safetensors"),
        output:
            facts=results("explanation/{endpoint}/maps.json"),
            maps=directory(results("explanation/{endpoint}/maps")),
        log:
            logs("map_occlusion/{endpoint}"),
        benchmark:
            benchmarks("map_occlusion/{endpoint}")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=memory(4000),
            runtime=120,
            disk_mb=10,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=section("explanation"),
            deep=CONFIG.deep.model_dump(mode="json", include={"device", "threads"}),
            code=code("evaluation/map_occlusion"),
        message:
            "Draw the occlusion maps of {wildcards.endpoint}"
        script:
            "../scripts/evaluation/map_occlusion.py"


rule explanation:
    input:
        expand(results("explanation/{endpoint}/shap_{name}.parquet"), endpoint=ENDPOINTS, name=SHAP_TABLES),
        expand(results("explanation/{endpoint}/maps.json"), endpoint=ENDPOINTS) if MAPPED else [],
