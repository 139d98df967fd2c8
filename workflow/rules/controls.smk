# Controls through the same folds: selection before the split, radiomics of shuffled regions, permuted outcomes.
from metaswin.controls.plan import joins, permutation_batches, permutes_deep, reasons

CONTROLLED = CONFIG.controls
NOT_APPLICABLE = reasons(CONFIG)
VARIANTS = [name for name in ("leaky", "shuffled") if getattr(CONTROLLED, name) and name not in NOT_APPLICABLE]
PERMUTATIONS = (
    permutation_batches(CONTROLLED.permutation) if CONTROLLED.permuted and "permuted" not in NOT_APPLICABLE else {}
)
PERMUTES_DEEP = bool(PERMUTATIONS) and USES_DEEP and joins(CONFIG, "deep") and permutes_deep(CONFIG)


if IMAGES:

    rule extract_shuffled:
        input:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("radiomics-shuffled/{patient}.parquet"),
            status=results("radiomics-shuffled/{patient}.status.json"),
        log:
            logs("extract_shuffled/{patient}"),
        benchmark:
            benchmarks("extract_shuffled/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=30,
            disk_mb=100,
        params:
            settings=section("radiomics"),
            details=DETAILS,
            seed=CONFIG.seed,
            code=code("extract_shuffled"),
        message:
            "Radiomics of {wildcards.patient}, voxels shuffled"
        script:
            "../scripts/extract_shuffled.py"

    rule collect_shuffled:
        input:
            tables=of_planned("radiomics-shuffled/{patient}.parquet"),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/radiomics-shuffled.parquet"),
        log:
            logs("collect_shuffled"),
        benchmark:
            benchmarks("collect_shuffled")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=1000,
        params:
            code=code("collect_radiomics"),
        message:
            "Join the radiomics of all patients, voxels shuffled"
        script:
            "../scripts/collect_radiomics.py"


# The folds that networks are trained on with deep: once.
rule permute_folds:
    input:
        folds=results("folds/{endpoint}.parquet"),
        clinical=results("cohort/clinical.parquet"),
    output:
        folds=results("controls/{endpoint}/folds.parquet"),
    log:
        logs("permute_folds/{endpoint}"),
    benchmark:
        benchmarks("permute_folds/{endpoint}")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=10,
    params:
        settings=section("folds"),
        seed=CONFIG.seed,
        code=code("permute_folds"),
    message:
        "Folds of {wildcards.endpoint} with a permuted outcome"
    script:
        "../scripts/permute_folds.py"


rule permute_outcome:
    input:
        folds=results("folds/{endpoint}.parquet"),
        facts=results("folds/{endpoint}.json"),
        clinical=results("cohort/clinical.parquet"),
        used=results("cohort/used.parquet"),
        features=results("features/radiomics.parquet") if RADIOMICS else [],
        anatomy=results("features/anatomy.parquet") if ANATOMY else [],
        perturbed=results("features/perturbed.parquet") if STABILITY else [],
        deep=(
            first_repeat(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet"), "as-is")
            if PERMUTES_DEEP
            else []
        ),
        deep_permuted=(
            first_repeat(fold_folder(f"deep/{CONFIG.deep.backbone}/features.parquet"), "permuted")
            if PERMUTES_DEEP
            else []
        ),
    output:
        permutations=results("controls/{endpoint}/permutations-{chunk}.parquet"),
    log:
        logs("permute_outcome/{endpoint}/{chunk}"),
    benchmark:
        benchmarks("permute_outcome/{endpoint}/{chunk}")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=240,
        disk_mb=10,
    params:
        permutations=lambda wildcards: PERMUTATIONS[wildcards.chunk],
        folds=section("folds"),
        stability=section("stability"),
        harmonisation=section("harmonisation"),
        selection=section("selection"),
        fusion=section("fusion"),
        # Their number and the size of a batch do not change a permutation.
        permutation=CONTROLLED.permutation.model_dump(mode="json", exclude={"n", "batch"}),
        sets=clinical_sets(CONFIG.clinical),
        headline_head=CONFIG.evaluation.headline_head,
        has_deep=USES_DEEP,
        seed=CONFIG.seed,
        code=code("permute_outcome"),
    message:
        "Refit on permuted outcomes: {wildcards.endpoint}, batch {wildcards.chunk}"
    script:
        "../scripts/permute_outcome.py"


rule evaluate_controls:
    input:
        as_is=results("evaluation/folds.parquet"),
        facts=results("evaluation/facts.json"),
        folds=expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
        folds_facts=expand(results("folds/{endpoint}.json"), endpoint=ENDPOINTS),
        leaky_predictions=(
            every_fold(fold_folder("fusion/predictions.parquet"), variant="leaky") if "leaky" in VARIANTS else []
        ),
        leaky_fits=every_fold(fold_folder("fusion/fits.json"), variant="leaky") if "leaky" in VARIANTS else [],
        shuffled_predictions=(
            every_fold(fold_folder("fusion/predictions.parquet"), variant="shuffled") if "shuffled" in VARIANTS else []
        ),
        shuffled_fits=every_fold(fold_folder("fusion/fits.json"), variant="shuffled") if "shuffled" in VARIANTS else [],
        permutations=expand(
            results("controls/{endpoint}/permutations-{chunk}.parquet"), endpoint=ENDPOINTS, chunk=PERMUTATIONS
        ),
    output:
        controls=results("evaluation/controls.parquet"),
        permutations=results("evaluation/permutations.parquet"),
    log:
        logs("evaluate_controls"),
    benchmark:
        benchmarks("evaluate_controls")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=10,
        disk_mb=10,
    params:
        settings=section("controls"),
        reasons=NOT_APPLICABLE,
        confidence=CONFIG.evaluation.confidence,
        penalties={
            "network": CONFIG.fusion.network.penalties,
            "logistic": CONFIG.fusion.logistic_penalties,
        },
        code=code("evaluate_controls"),
    message:
        "Controls beside the run"
    script:
        "../scripts/evaluate_controls.py"


rule controls:
    input:
        rules.evaluate_controls.output,
