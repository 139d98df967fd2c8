# All arms of all endpoints together: performance, curves, comparisons, strata, sample size.
from metaswin.fusion.arms import clinical_sets


rule evaluate:
    input:
        predictions=every_fold(fold_folder("fusion/predictions.parquet")),
        fits=every_fold(fold_folder("fusion/fits.json")),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
    output:
        predictions=results("evaluation/predictions.parquet"),
        folds=results("evaluation/folds.parquet"),
        summary=results("evaluation/summary.parquet"),
        comparisons=results("evaluation/comparisons.parquet"),
        strata=results("evaluation/strata.parquet"),
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
        code=code("evaluate"),
    message:
        "Evaluation of every arm"
    script:
        "../scripts/evaluate.py"


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
        code=code("measure_optimism"),
    message:
        "AUC on rows seen and not seen"
    script:
        "../scripts/measure_optimism.py"


rule evaluation:
    input:
        rules.evaluate.output,
        rules.measure_optimism.output,
