rule evaluate:
    input:
        predictions=every_fold("fusion/predictions.parquet"),
        fits=every_fold("fusion/fits.json"),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
    output:
        predictions=results("evaluation/predictions.parquet"),
        folds=results("evaluation/folds.parquet"),
        summary=results("evaluation/summary.parquet"),
        comparisons=results("evaluation/comparisons.parquet"),
        strata=results("evaluation/strata.parquet"),
        roc=results("evaluation/roc.parquet"),
        deaths=results("evaluation/deaths.parquet"),
        facts=results("evaluation/facts.json"),
    log:
        logs("evaluate"),
    benchmark:
        benchmarks("evaluate")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
        disk_mb=1000,
    params:
        settings=section("evaluation"),
        seed=CONFIG.seed,
        code=code("evaluate"),
    message:
        "Evaluation of every arm"
    script:
        "../scripts/evaluate.py"


rule evaluation:
    input:
        rules.evaluate.output,
