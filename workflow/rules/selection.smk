# Features kept in each fold, fitted on its training rows only.
if RADIOMICS:

    rule select_features:
        input:
            features=features_of,
            folds=folds_of,
            stability=STABLE,
            harmonisation=of_harmonisation("json"),
            harmonisation_values=of_harmonisation("safetensors"),
            used=results("cohort/used.parquet") if HARMONISED else [],
            clinical=results("cohort/clinical.parquet") if HARMONISED else [],
        output:
            selection=fold_folder("selection.parquet"),
        log:
            logs("select_features/{endpoint}/{variant}/r{repeat}-f{fold}"),
        benchmark:
            benchmarks("select_features/{endpoint}/{variant}/r{repeat}-f{fold}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=20,
            disk_mb=10,
        params:
            settings=section("selection"),
            seed=CONFIG.seed,
            code=code("select_features"),
        message:
            "Select features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
        script:
            "../scripts/select_features.py"

    rule selection:
        input:
            every_fold("selection.parquet"),
