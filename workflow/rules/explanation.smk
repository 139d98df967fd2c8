# What the headline arm's predictions rest on: Shapley values in each fold, and occlusion maps of the deep network.
SHAP_TABLES = [f"{what}{head}" for what in ("modalities", "features") for head in ("", "_logistic")]
MAPPED = USES_DEEP and CONFIG.explanation.maps > 0


rule explain_fusion:
    input:
        folds=folds_of,
        clinical=results("cohort/clinical.parquet"),
        tables=tables_of(lambda fold, k: [fit_name(fold)]) if USES_RADIOMICS else [],
        volume=repeat_folder("volume.parquet") if RADIOMICS else [],
        deep=deep_of if USES_DEEP else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
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
        code=code("explain_fusion"),
    message:
        "Explain the headline arm: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
    script:
        "../scripts/explain_fusion.py"


rule collect_explanation:
    input:
        modalities=lambda wildcards: every_fold(fold_folder("explanation/modalities.parquet"), [wildcards.endpoint]),
        features=lambda wildcards: every_fold(fold_folder("explanation/features.parquet"), [wildcards.endpoint]),
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
        code=code("collect_explanation"),
    message:
        "Explanation of {wildcards.endpoint} over all folds"
    script:
        "../scripts/collect_explanation.py"


if MAPPED:

    rule map_occlusion:
        input:
            predictions=lambda wildcards: every_fold(fold_folder("fusion/predictions.parquet"), [wildcards.endpoint]),
            fits=lambda wildcards: every_fold(fold_folder("fusion/fits.json"), [wildcards.endpoint]),
            folds=results("folds/{endpoint}.parquet"),
            networks=lambda wildcards: every_fold(
                final_folder(f"deep/{CONFIG.deep.backbone}/network.safetensors"), [wildcards.endpoint]
            ),
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
            code=code("map_occlusion"),
        message:
            "Occlusion maps of {wildcards.endpoint}"
        script:
            "../scripts/map_occlusion.py"


rule explanation:
    input:
        expand(results("explanation/{endpoint}/shap_{name}.parquet"), endpoint=ENDPOINTS, name=SHAP_TABLES),
        expand(results("explanation/{endpoint}/maps.json"), endpoint=ENDPOINTS) if MAPPED else [],
