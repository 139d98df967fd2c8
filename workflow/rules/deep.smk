# The deep networks: one for every fit, and for each outer fold the scores that they give.
if DEEP:
    from metaswin.deep.resources import memory_mb, patients_with_patch

    rule train_deep:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            pretrained=CONFIG.deep.pretrained or [],
        output:
            # Left in place for the job, which keeps them where it would train on the same rows again.
            network=update(fit_folder("deep/{backbone}/network.safetensors")),
            training=update(fit_folder("deep/{backbone}/training.json")),
        log:
            logs("train_deep/{endpoint}/{variant}/r{repeat}/{backbone}/{fit}"),
        benchmark:
            benchmarks("train_deep/{endpoint}/{variant}/r{repeat}/{backbone}/{fit}")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=training_mb,
            runtime=720,
            disk_mb=2000,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=CONFIG.deep.model_dump(mode="json", exclude={"enabled", "backbone"}),
            patches=section("patches"),
            # Training state to resume from: not declared, since Snakemake deletes the outputs of a killed job.
            scratch=results("scratch/{endpoint}.{variant}.r{repeat}.{fit}.{backbone}"),
            seed=CONFIG.seed,
            code=code("train_deep"),
        message:
            "Train {wildcards.backbone}: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, {wildcards.fit}"
        script:
            "../scripts/train_deep.py"

    rule extract_deep_features:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            networks=(
                final_folder("deep/{backbone}/network.safetensors")
                if CONFIG.fusion.deep_score == "in-sample"
                else of_outer_fits("deep/{backbone}/network.safetensors")
            ),
        output:
            features=fold_folder("deep/{backbone}/features.parquet"),
        log:
            logs("extract_deep_features/{endpoint}/{variant}/r{repeat}/fold-{fold}/{backbone}"),
        benchmark:
            benchmarks("extract_deep_features/{endpoint}/{variant}/r{repeat}/fold-{fold}/{backbone}")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=memory(3000),
            runtime=60,
            disk_mb=50,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=CONFIG.deep.model_dump(mode="json", include={"device", "threads"}),
            mode=section("fusion.deep_score"),
            k=CONFIG.folds.k,
            code=code("extract_deep_features"),
        message:
            "Deep features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}, {wildcards.backbone}"
        script:
            "../scripts/extract_deep_features.py"

    rule deep:
        input:
            every_fold(fold_folder("deep/{backbone}/features.parquet"), backbone=CONFIG.deep.backbone),

    rule backbones:
        input:
            every_fold(fold_folder("deep/{backbone}/features.parquet"), backbone=["swin", "resnet", "densenet"]),
