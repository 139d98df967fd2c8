# The finished run as one folder and one zip that predict new patients elsewhere. Not part of `all`.
from metaswin.fusion.arms import clinical_sets


rule bundle_model:
    input:
        predictions=every_fold(fold_folder("fusion/predictions.parquet")),
        fits=every_fold(fold_folder("fusion/fits.json")),
        models=every_fold(fold_folder("fusion/models")),
        selection=each_for_its_folds(every_repeat(repeat_folder("selection.parquet"))) if USES_RADIOMICS else [],
        harmonisation=(
            each_for_its_folds(every_repeat(repeat_folder("harmonisation.json")))
            if HARMONISED and USES_RADIOMICS
            else []
        ),
        harmonisation_values=(
            each_for_its_folds(every_repeat(repeat_folder("harmonisation.safetensors")))
            if HARMONISED and USES_RADIOMICS
            else []
        ),
        volume=each_for_its_folds(every_repeat(repeat_folder("volume.parquet"))) if RADIOMICS else [],
        radiomics=every_fold(final_folder("radiomics.parquet")) if USES_RADIOMICS else [],
        peri_radiomics=every_fold(final_folder("peri_radiomics.parquet")) if USES_RADIOMICS else [],
        deep=every_fold(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")) if USES_DEEP else [],
        network=every_fold(final_folder(f"deep/{CONFIG.deep.backbone}/network.safetensors")) if USES_DEEP else [],
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
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
