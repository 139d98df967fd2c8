# The deep networks: per fold one on all its training rows and one without each inner fold.
if DEEP:
    from metaswin.deep.resources import memory_mb, patients_with_patch

    rule train_deep:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            pretrained=CONFIG.deep.pretrained or [],
        output:
            # Left in place for the job, which keeps them where it would train on the same rows again.
            network=update(fold_folder("deep/{backbone}/{part}/network.safetensors")),
            training=update(fold_folder("deep/{backbone}/{part}/training.json")),
        log:
            logs("train_deep/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}/{part}"),
        benchmark:
            benchmarks("train_deep/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}/{part}")
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
            scratch=results("scratch/{endpoint}.{variant}.r{repeat}-f{fold}.{backbone}.{part}"),
            seed=CONFIG.seed,
            code=code("train_deep"),
        message:
            "Train {wildcards.backbone}: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}, {wildcards.part}"
        script:
            "../scripts/train_deep.py"

    rule extract_deep_features:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            networks=expand(
                fold_folder("deep/{backbone}/{part}/network.safetensors"), part=DEEP_PARTS, allow_missing=True
            ),
        output:
            features=fold_folder("deep/{backbone}/features.parquet"),
        log:
            logs("extract_deep_features/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}"),
        benchmark:
            benchmarks("extract_deep_features/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=memory(3000),
            runtime=60,
            disk_mb=50,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=CONFIG.deep.model_dump(mode="json", include={"device", "threads"}),
            mode=section("fusion.deep_score"),
            code=code("extract_deep_features"),
        message:
            "Deep features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}, {wildcards.backbone}"
        script:
            "../scripts/extract_deep_features.py"

    rule deep:
        input:
            every_fold("deep/{backbone}/features.parquet", backbone=CONFIG.deep.backbone),

    rule backbones:
        input:
            every_fold("deep/{backbone}/features.parquet", backbone=["swin", "resnet", "densenet"]),
