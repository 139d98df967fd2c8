from metaswin.config.feature_sets import clinical_sets

# Write the finished run as a folder and a zip, with which new patients can be predicted elsewhere. Not part of `all`.


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
        volume=each_for_its_folds(every_repeat(repeat_folder("volume.parquet"))) if HAS_RADIOMICS else [],
        tables=each_for_its_folds(every_repeat(repeat_folder("tables"))) if USES_RADIOMICS else [],
        deep=every_fold(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet")) if USES_DEEP else [],
        network=every_fold(final_folder(f"deep/{CONFIG.deep.backbone}/network.safetensors")) if USES_DEEP else [],
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        embedding=results("features/embedding.parquet") if EMBEDDING else [],
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
        code=code("prediction/bundle_model"),
    message:
        "Freeze the run into a bundle"
    script:
        "../scripts/prediction/bundle_model.py"


rule bundle:
    input:
        rules.bundle_model.output,


# Predict new patients with a bundle: the stages above, then every member. `metaswin predict` writes the configuration.
PREDICTING = CONFIG.predict.bundle is not None

if PREDICTING:

    rule prepare_clinical:
        input:
            clinical=CONFIG.predict.clinical or [],
            index=rules.index_dicom.output.private_series if CONFIG.data.source == "dicom" else [],
            sheet=CONFIG.data.sheet if CONFIG.data.source == "nifti" else [],
            features=CONFIG.data.features if CONFIG.data.source == "features" else [],
        output:
            clinical=CONFIG.clinical.table,
        log:
            logs("prepare_clinical"),
        benchmark:
            benchmarks("prepare_clinical")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            clinical=section("clinical"),
            # Columns of the cohort rules, which are in the user's table.
            also=[*CONFIG.cohort.include, *CONFIG.cohort.exclude, *CONFIG.cohort.baseline_metastasis],
            pseudonyms=PSEUDONYMS,
            code=code("prediction/prepare_clinical"),
        message:
            "Prepare the clinical table of the new patients"
        script:
            "../scripts/prediction/prepare_clinical.py"

    rule predict_patients:
        input:
            manifest=f"{CONFIG.predict.bundle}/manifest.json",
            used=results("cohort/used.parquet"),
            clinical=results("cohort/clinical.parquet"),
            exclusions=results("cohort/exclusions.parquet"),
            features=results("features/radiomics.parquet") if HAS_RADIOMICS else [],
            problems=problems_of_features,
            anatomy=results("features/anatomy.parquet") if ANATOMY else [],
            embedding=results("features/embedding.parquet") if EMBEDDING else [],
            patches=results("features/patches.safetensors") if DEEP else [],
            images=of_planned("images/{patient}/image.json"),
            qc_images=of_planned("qc-images/{patient}.png"),
        output:
            table=results("predictions/predictions.parquet"),
            csv=results("predictions/predictions.csv"),
            members=results("predictions/members.parquet"),
            contributions=results("predictions/contributions.parquet"),
            facts=results("predictions/facts.json"),
            pages=directory(results("predictions/patients")),
        log:
            logs("predict_patients"),
        benchmark:
            benchmarks("predict_patients")
        threads: CONFIG.deep.threads
        resources:
            mem_mb=memory(4000),
            runtime=120,
            disk_mb=500,
            gpu=1 if DEEP and CONFIG.deep.device == "cuda" else 0,
        params:
            settings=section("predict"),
            deep=CONFIG.deep.model_dump(mode="json", include={"device", "threads"}),
            pseudonyms=CONFIG.data.pseudonyms,
            code=code("prediction/predict_patients"),
        message:
            "Predict the new patients"
        script:
            "../scripts/prediction/predict_patients.py"

    rule predict:
        input:
            rules.predict_patients.output,
