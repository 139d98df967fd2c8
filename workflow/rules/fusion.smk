# All arms of a fold in one job: modalities alone, joined, tumour volume, clinical sets; network and logistic head.
from metaswin.fusion.arms import clinical_sets

USES_RADIOMICS = RADIOMICS and bool({"radiomics", "peri_radiomics"} & set(CONFIG.fusion.modalities))
USES_DEEP = DEEP and "deep" in CONFIG.fusion.modalities
JOINT = USES_DEEP and CONFIG.fusion.deep_score == "joint"
# The networks that score test rows for the headline arm.
HEADLINE_NETWORKS = f"{'joint' if JOINT else 'deep'}/{CONFIG.deep.backbone}/{DEEP_PARTS[0]}"

if JOINT:

    rule train_joint:
        input:
            patches=results("features/patches.safetensors"),
            network=fold_folder("deep/{backbone}/{part}/network.safetensors"),
            deep=fold_folder("deep/{backbone}/features.parquet"),
            folds=folds_of,
            clinical=results("cohort/clinical.parquet"),
            used=results("cohort/used.parquet"),
            features=features_of,
            selection=fold_folder("selection.parquet") if USES_RADIOMICS else [],
            harmonisation=of_harmonisation("json"),
            harmonisation_values=of_harmonisation("safetensors"),
            anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        output:
            network=fold_folder("joint/{backbone}/{part}/network.safetensors"),
            head=fold_folder("joint/{backbone}/{part}/head.safetensors"),
            training=fold_folder("joint/{backbone}/{part}/training.json"),
        log:
            logs("train_joint/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}/{part}"),
        benchmark:
            benchmarks("train_joint/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}/{part}")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=training_mb,
            runtime=240,
            disk_mb=2000,
            gpu=1 if CONFIG.deep.device == "cuda" else 0,
        params:
            settings=section("fusion"),
            deep=CONFIG.deep.model_dump(mode="json", exclude={"enabled", "backbone"}),
            sets=clinical_sets(CONFIG.clinical),
            scratch=results("scratch/joint.{endpoint}.{variant}.r{repeat}-f{fold}.{backbone}.{part}"),
            seed=CONFIG.seed,
            code=code("train_joint"),
        message:
            "Fine-tune {wildcards.backbone} and fusion: {wildcards.endpoint}, repeat {wildcards.repeat}, fold {wildcards.fold}, {wildcards.part}"
        script:
            "../scripts/train_joint.py"

    use rule extract_deep_features as extract_joint_features with:
        input:
            patches=results("features/patches.safetensors"),
            folds=folds_of,
            networks=expand(fold_folder("joint/{backbone}/{part}/network.safetensors"), part=PARTS, allow_missing=True),
        output:
            features=fold_folder("joint/{backbone}/features.parquet"),
        log:
            logs("extract_joint_features/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}"),
        benchmark:
            benchmarks("extract_joint_features/{endpoint}/{variant}/r{repeat}-f{fold}/{backbone}")


rule train_fusion:
    input:
        folds=folds_of,
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        features=features_of if RADIOMICS else [],
        selection=fold_folder("selection.parquet") if USES_RADIOMICS else [],
        harmonisation=of_harmonisation("json"),
        harmonisation_values=of_harmonisation("safetensors"),
        deep=deep_of if USES_DEEP else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        joint_features=joint_of("features.parquet"),
        joint_heads=joint_of("{part}/head.safetensors"),
    output:
        predictions=fold_folder("fusion/predictions.parquet"),
        fits=fold_folder("fusion/fits.json"),
        models=directory(fold_folder("fusion/models")),
    log:
        logs("train_fusion/{endpoint}/{variant}/r{repeat}-f{fold}"),
    benchmark:
        benchmarks("train_fusion/{endpoint}/{variant}/r{repeat}-f{fold}")
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
        # Controls change radiomics only: the other arms would be those of the run.
        using=lambda wildcards: [] if wildcards.variant == "as-is" else ["radiomics", "peri_radiomics"],
        code=code("train_fusion"),
    message:
        "Fit all arms: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}, fold {wildcards.fold}"
    script:
        "../scripts/train_fusion.py"


rule fusion:
    input:
        every_fold("fusion/predictions.parquet"),
