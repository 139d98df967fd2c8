# Time to event: a hazard head with two causes (DM and death) per outer fold, for endpoints that keep their deaths.
SURVIVAL_ENDPOINTS = [
    name for name, endpoint in CONFIG.endpoints.items() if endpoint.event is not None and endpoint.deaths == "nonevent"
]
SURVIVAL = CONFIG.survival.enabled and bool(SURVIVAL_ENDPOINTS)

if SURVIVAL:

    rule train_hazard:
        input:
            folds=results("folds/{endpoint}.parquet"),
            clinical=results("cohort/clinical.parquet"),
            tables=tables_of(outer_fits) if USES_RADIOMICS else [],
            volume=repeat_folder("volume.parquet") if RADIOMICS else [],
            deep=fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet") if USES_DEEP else [],
        output:
            predictions=fold_folder("survival/predictions.parquet"),
            fits=fold_folder("survival/fits.json"),
            models=directory(fold_folder("survival/models")),
        log:
            logs("train_hazard/{endpoint}/{variant}/r{repeat}/fold-{fold}"),
        benchmark:
            benchmarks("train_hazard/{endpoint}/{variant}/r{repeat}/fold-{fold}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=30,
            disk_mb=50,
        params:
            settings=section("survival"),
            k=CONFIG.folds.k,
            fusion=section("fusion"),
            horizon=lambda wildcards: CONFIG.endpoints[wildcards.endpoint].horizon_days,
            sets=clinical_sets(CONFIG.clinical),
            seed=CONFIG.seed,
            code=code("train_hazard"),
        message:
            "Fit the hazard head: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
        script:
            "../scripts/train_hazard.py"

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
            code=code("evaluate_survival"),
        message:
            "Evaluation of the hazard head"
        script:
            "../scripts/evaluate_survival.py"


rule survival:
    input:
        rules.evaluate_survival.output if SURVIVAL else [],
