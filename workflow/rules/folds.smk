rule make_folds:
    input:
        used=results("cohort/used.parquet"),
        outcomes=results("cohort/outcomes.parquet"),
        counts=results("cohort/outcomes.json"),
        clinical=results("cohort/clinical.parquet"),
    output:
        folds=results("folds/{endpoint}.parquet"),
        facts=results("folds/{endpoint}.json"),
    log:
        logs("make_folds/{endpoint}"),
    benchmark:
        benchmarks("make_folds/{endpoint}")
    # Too few events among the used patients are told as soon as they are known; make_qc has warned before.
    priority: 100
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        settings=section("folds"),
        endpoint=lambda wildcards: section(f"endpoints.{wildcards.endpoint}"),
        seed=CONFIG.seed,
        code=code("make_folds"),
    message:
        "Folds of {wildcards.endpoint}"
    script:
        "../scripts/make_folds.py"


rule folds:
    input:
        expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
