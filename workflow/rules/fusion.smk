# All arms of an outer fold in one job: modalities alone, joined, tumour volume, clinical sets; network and logistic head.
from metaswin.fusion.arms import clinical_sets

USES_RADIOMICS = RADIOMICS and bool({"radiomics", "peri_radiomics"} & set(CONFIG.fusion.modalities))
USES_DEEP = DEEP and "deep" in CONFIG.fusion.modalities


rule train_fusion:
    input:
        folds=folds_of,
        clinical=results("cohort/clinical.parquet"),
        tables=tables_of(outer_fits) if USES_RADIOMICS else [],
        volume=repeat_folder("volume.parquet") if RADIOMICS else [],
        deep=deep_of if USES_DEEP else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
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
        k=CONFIG.folds.k,
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
        every_fold(fold_folder("fusion/predictions.parquet")),
