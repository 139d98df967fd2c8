# The finished run as one folder and one zip that predict new patients elsewhere. Not part of `all`.
from metaswin.fusion.arms import clinical_sets


rule bundle_model:
    input:
        predictions=every_fold("fusion/predictions.parquet"),
        fits=every_fold("fusion/fits.json"),
        models=every_fold("fusion/models"),
        selection=every_fold("selection.parquet") if USES_RADIOMICS else [],
        harmonisation=every_fold("harmonisation.json") if HARMONISED and USES_RADIOMICS else [],
        harmonisation_values=every_fold("harmonisation.safetensors") if HARMONISED and USES_RADIOMICS else [],
        deep=every_fold(f"deep/{CONFIG.deep.backbone}/features.parquet") if USES_DEEP else [],
        network=every_fold(f"deep/{CONFIG.deep.backbone}/{DEEP_PARTS[0]}/network.safetensors") if USES_DEEP else [],
        joint=every_fold(f"joint/{CONFIG.deep.backbone}/features.parquet") if JOINT else [],
        joint_network=every_fold(f"{HEADLINE_NETWORKS}/network.safetensors") if JOINT else [],
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        features=results("features/radiomics.parquet") if RADIOMICS else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        images=of_planned("images/{patient}/image.json"),
        summary=results("evaluation/summary.parquet"),
    output:
        folder=directory(results("bundle")),
        archive=results("bundle.zip"),
    log:
        logs("bundle_model"),
    benchmark:
        benchmarks("bundle_model")
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
        disk_mb=4000,
    params:
        settings=section("bundle"),
        config=CONFIG.model_dump(mode="json"),
        sets=clinical_sets(CONFIG.clinical),
        code=code("bundle_model"),
    message:
        "Freeze the run into a bundle"
    script:
        "../scripts/bundle_model.py"


rule bundle:
    input:
        rules.bundle_model.output,
