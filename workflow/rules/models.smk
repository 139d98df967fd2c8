from metaswin.config.feature_sets import clinical_sets

# The deep networks: one for every fit, and for each outer fold the scores that they give.
if DEEP:
    from metaswin.models.memory import memory_mb, patients_with_patch

    rule train_deep:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            # What the encoder learns to predict first. Never the shuffled features of a negative control.
            radiomics=results("features/radiomics.parquet") if CONFIG.deep.guided else [],
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
            code=code("models/train_deep"),
        message:
            "Train {wildcards.backbone}: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, {wildcards.fit}"
        script:
            "../scripts/models/train_deep.py"

    rule extract_deep_features:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            networks=(
                [final_folder("deep/{backbone}/network.safetensors")]
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
            code=code("models/extract_deep_features"),
        message:
            "Deep features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}, {wildcards.backbone}"
        script:
            "../scripts/models/extract_deep_features.py"

    rule deep:
        input:
            every_fold(fold_folder("deep/{backbone}/features.parquet"), backbone=CONFIG.deep.backbone),

    rule backbones:
        input:
            every_fold(fold_folder("deep/{backbone}/features.parquet"), backbone=["swin", "resnet", "densenet"]),


# The embeddings: outputs of an encoder that the run does not train, or a table of the user.
if CONFIG.embedding.table is not None:

    rule import_embedding:
        input:
            table=CONFIG.embedding.table,
            used=results("cohort/used.parquet"),
        output:
            embedding=results("features/embedding.parquet"),
            problems=results("features/embedding_problems.parquet"),
        log:
            logs("import_embedding"),
        benchmark:
            benchmarks("import_embedding")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=500,
        params:
            details=DETAILS,
            pseudonyms=PSEUDONYMS,
            code=code("models/import_embedding"),
        message:
            "Import the table of embeddings"
        script:
            "../scripts/models/import_embedding.py"

elif EMBEDDING:

    rule extract_embedding:
        input:
            model=CONFIG.embedding.model,
            used=results("cohort/used.parquet"),
            patches=results("features/patches.safetensors") if CONFIG.embedding.reads_patches else [],
            ct=[] if CONFIG.embedding.reads_patches else of_planned("images/{patient}/ct.nii.gz"),
            tumor=[] if CONFIG.embedding.reads_patches else of_planned("images/{patient}/tumor.nii.gz"),
        output:
            embedding=results("features/embedding.parquet"),
        log:
            logs("extract_embedding"),
        benchmark:
            benchmarks("extract_embedding")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=memory(6000),
            runtime=720,
            disk_mb=500,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=section("embedding"),
            patches=section("patches"),
            deep=CONFIG.deep.model_dump(mode="json", include={"device", "threads"}),
            code=code("models/extract_embedding"),
        message:
            "Compute the embeddings of all patients"
        script:
            "../scripts/models/extract_embedding.py"


rule embedding:
    input:
        results("features/embedding.parquet") if EMBEDDING else [],


# All feature sets of an outer fold in one job: modalities alone, joined, tumour volume, clinical sets; network and logistic classifier.

USES_RADIOMICS = HAS_RADIOMICS and bool({"radiomics", "peri_radiomics"} & set(CONFIG.fusion.modalities))
USES_DEEP = DEEP and "deep" in CONFIG.fusion.modalities


rule train_fusion:
    input:
        folds=folds_of,
        clinical=results("cohort/clinical.parquet"),
        tables=repeat_folder("tables") if USES_RADIOMICS else [],
        volume=repeat_folder("volume.parquet") if HAS_RADIOMICS else [],
        deep=deep_of if USES_DEEP else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        embedding=results("features/embedding.parquet") if EMBEDDING else [],
    output:
        predictions=fold_folder("fusion/predictions.parquet"),
        fits=fold_folder("fusion/fits.json"),
        models=directory(fold_folder("fusion/models")),
    log:
        logs("train_fusion/{endpoint}/{variant}/r{repeat}/fold-{fold}"),
    benchmark:
        benchmarks("train_fusion/{endpoint}/{variant}/r{repeat}/fold-{fold}")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
        disk_mb=50,
    params:
        settings=section("fusion"),
        sets=clinical_sets(CONFIG.clinical),
        threshold={"rule": CONFIG.evaluation.threshold, "sensitivity": CONFIG.evaluation.sensitivity},
        seed=CONFIG.seed,
        # Controls change radiomics only: the other feature sets would be those of the run.
        using=lambda wildcards: [] if wildcards.variant == "as-is" else ["radiomics", "peri_radiomics"],
        code=code("models/train_fusion"),
    message:
        "Fit all feature sets: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
    script:
        "../scripts/models/train_fusion.py"


rule fusion:
    input:
        every_fold(fold_folder("fusion/predictions.parquet")),


# Time to event: a hazard model with two causes (DM and death) per outer fold, for endpoints that keep their deaths.
SURVIVAL_ENDPOINTS = [
    name for name, endpoint in CONFIG.endpoints.items() if endpoint.event is not None and endpoint.deaths == "nonevent"
]
SURVIVAL = CONFIG.survival.enabled and bool(SURVIVAL_ENDPOINTS)

if SURVIVAL:

    rule train_hazard:
        input:
            folds=results("folds/{endpoint}.parquet"),
            clinical=results("cohort/clinical.parquet"),
            tables=repeat_folder("tables") if USES_RADIOMICS else [],
            volume=repeat_folder("volume.parquet") if HAS_RADIOMICS else [],
            deep=fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet") if USES_DEEP else [],
            anatomy=results("features/anatomy.parquet") if ANATOMY else [],
            embedding=results("features/embedding.parquet") if EMBEDDING else [],
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
            fusion=section("fusion"),
            horizon=lambda wildcards: CONFIG.endpoints[wildcards.endpoint].horizon_days,
            sets=clinical_sets(CONFIG.clinical),
            seed=CONFIG.seed,
            code=code("models/train_hazard"),
        message:
            "Fit the hazard models: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
        script:
            "../scripts/models/train_hazard.py"
