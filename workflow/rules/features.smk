from metaswin.features.subset import subset

# Features of every region: extracted from the images, or the user's own table.
if IMAGES:

    rule extract_radiomics:
        input:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("radiomics/{patient}.parquet"),
            status=results("radiomics/{patient}.status.json"),
        log:
            logs("extract_radiomics/{patient}"),
        benchmark:
            benchmarks("extract_radiomics/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=30,
            disk_mb=100,
        params:
            settings=section("radiomics"),
            details=DETAILS,
            code=code("features/extract_radiomics"),
        message:
            "Radiomics of {wildcards.patient}"
        script:
            "../scripts/features/extract_radiomics.py"

    rule collect_radiomics:
        input:
            tables=of_planned("radiomics/{patient}.parquet"),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/radiomics.parquet"),
        log:
            logs("collect_radiomics"),
        benchmark:
            benchmarks("collect_radiomics")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=1000,
        params:
            code=code("features/collect_radiomics"),
        message:
            "Join the radiomics of all patients"
        script:
            "../scripts/features/collect_radiomics.py"

    # Apart from the features, so that patches do not hold them up nor make them anew.
    rule collect_problems:
        input:
            radiomics=of_planned("radiomics/{patient}.status.json"),
            patches=of_planned("patches/{patient}.status.json") if PATCHES else [],
            signatures=of_planned("signatures/{patient}.status.json") if SIGNATURES else [],
            used=results("cohort/used.parquet"),
        output:
            problems=results("features/problems.parquet"),
        log:
            logs("collect_problems"),
        benchmark:
            benchmarks("collect_problems")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            code=code("features/collect_problems"),
        message:
            "Join the problems of radiomics and patches"
        script:
            "../scripts/features/collect_problems.py"

elif HAS_RADIOMICS:

    rule import_features:
        input:
            table=CONFIG.data.features,
            used=results("cohort/used.parquet"),
        output:
            features=results("features/radiomics.parquet"),
            problems=results("features/problems.parquet"),
        log:
            logs("import_features"),
        benchmark:
            benchmarks("import_features")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=1000,
        params:
            details=DETAILS,
            pseudonyms=PSEUDONYMS,
            code=code("features/import_features"),
        message:
            "Import the table of features"
        script:
            "../scripts/features/import_features.py"


if HAS_RADIOMICS:

    rule radiomics:
        input:
            results("features/radiomics.parquet"),
            KERNELS,


# Published signatures: fixed formulas of features, extracted from the CT as it is with each signature's own settings.
if SIGNATURES:

    rule extract_signatures:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            status=results("images/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("signatures/{patient}.parquet"),
            status=results("signatures/{patient}.status.json"),
        log:
            logs("extract_signatures/{patient}"),
        benchmark:
            benchmarks("extract_signatures/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=30,
            disk_mb=10,
        params:
            signatures=SIGNATURES,
            details=DETAILS,
            code=code("features/extract_signatures"),
        message:
            "Published signatures of {wildcards.patient}"
        script:
            "../scripts/features/extract_signatures.py"

    rule collect_signatures:
        input:
            tables=of_planned("signatures/{patient}.parquet"),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/signatures.parquet"),
        log:
            logs("collect_signatures"),
        benchmark:
            benchmarks("collect_signatures")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            code=code("features/collect_anatomy"),
        message:
            "Join the published signatures of all patients"
        script:
            "../scripts/features/collect_anatomy.py"

    rule signatures:
        input:
            results("features/signatures.parquet"),


# Interpretable measures of the organs: volume, HU, distance to the tumour, contact with it.
ANATOMY = IMAGES and CONFIG.anatomy.enabled

if ANATOMY:

    rule measure_anatomy:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
            status=results("organs/{patient}/status.json"),
        output:
            table=results("anatomy/{patient}.parquet"),
        log:
            logs("measure_anatomy/{patient}"),
        benchmark:
            benchmarks("measure_anatomy/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=10,
            disk_mb=10,
        params:
            settings=section("anatomy"),
            code=code("features/measure_anatomy"),
        message:
            "Anatomy of {wildcards.patient}"
        script:
            "../scripts/features/measure_anatomy.py"

    rule collect_anatomy:
        input:
            tables=of_planned("anatomy/{patient}.parquet"),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/anatomy.parquet"),
        log:
            logs("collect_anatomy"),
        benchmark:
            benchmarks("collect_anatomy")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            code=code("features/collect_anatomy"),
        message:
            "Join the anatomy of all patients"
        script:
            "../scripts/features/collect_anatomy.py"

    rule anatomy:
        input:
            results("features/anatomy.parquet"),


# How much the features change when the tumour is drawn a little differently: a subset of the patients, perturbed masks.

STABILITY = IMAGES and CONFIG.stability.enabled


if STABILITY:

    rule perturb_regions:
        input:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
            status=results("regions/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("stability/{patient}.parquet"),
            status=results("stability/{patient}.status.json"),
        log:
            logs("perturb_regions/{patient}"),
        benchmark:
            benchmarks("perturb_regions/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=60,
            disk_mb=50,
        params:
            settings=CONFIG.stability.model_dump(
                mode="json", include={"perturbations", "shift", "noise", "smoothness", "margin"}
            ),
            # Both engines give the same values; dozens of masks take minutes with PyRadiomics.
            radiomics=CONFIG.radiomics.model_dump(mode="json", exclude={"engine"}),
            regions=section("regions"),
            details=DETAILS,
            seed=CONFIG.seed,
            code=code("features/perturb_regions"),
        message:
            "Features of perturbed masks of {wildcards.patient}"
        script:
            "../scripts/features/perturb_regions.py"

    rule collect_stability:
        input:
            tables=lambda wildcards: expand(results("stability/{patient}.parquet"), patient=perturbed_patients()),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/perturbed.parquet"),
            facts=results("features/perturbed.json"),
        log:
            logs("collect_stability"),
        benchmark:
            benchmarks("collect_stability")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=500,
        params:
            code=code("features/collect_stability"),
        message:
            "Join the features of perturbed masks"
        script:
            "../scripts/features/collect_stability.py"

    rule judge_stability:
        input:
            perturbed=results("features/perturbed.parquet"),
            folds=results("folds/{endpoint}.parquet"),
        output:
            stability=results("models/{endpoint}/as-is/r{repeat}/stability.parquet"),
        log:
            logs("judge_stability/{endpoint}/r{repeat}"),
        benchmark:
            benchmarks("judge_stability/{endpoint}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=50,
        params:
            settings=section("stability"),
            code=code("features/judge_stability"),
        message:
            "Stable features: {wildcards.endpoint}, repeat {wildcards.repeat}"
        script:
            "../scripts/features/judge_stability.py"


# One file serves all variants: none of them changes whose masks are perturbed, nor who is in training.
STABLE = results("models/{endpoint}/as-is/r{repeat}/stability.parquet") if STABILITY else []


rule stability:
    input:
        every_repeat(repeat_folder("stability.parquet")) if STABILITY else [],


# ComBat of the features in every fit of a repeat, fitted on its training rows only; the association of site and outcome.
HARMONISED = HAS_RADIOMICS and CONFIG.harmonisation.method != "none"


if HARMONISED:

    rule harmonise:
        input:
            features=features_of,
            folds=folds_of,
            used=results("cohort/used.parquet"),
            clinical=results("cohort/clinical.parquet"),
        output:
            facts=repeat_folder("harmonisation.json"),
            values=repeat_folder("harmonisation.safetensors"),
            rows=repeat_folder("harmonised.parquet"),
        log:
            logs("harmonise/{endpoint}/{variant}/r{repeat}"),
        benchmark:
            benchmarks("harmonise/{endpoint}/{variant}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=20,
            disk_mb=50,
        params:
            settings=section("harmonisation"),
            code=code("features/harmonise"),
        message:
            "Harmonise: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}"
        script:
            "../scripts/features/harmonise.py"


rule associate_site:
    input:
        outcomes=results("cohort/outcomes.parquet"),
        used=results("cohort/used.parquet"),
        clinical=results("cohort/clinical.parquet"),
    output:
        site=results("evaluation/site.parquet"),
    log:
        logs("associate_site"),
    benchmark:
        benchmarks("associate_site")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=10,
    params:
        # Where patients come from, as far as the run knows: the batch, and what the folds are made or balanced by.
        columns=[CONFIG.harmonisation.batch, *CONFIG.folds.stratify, *filter(None, [CONFIG.folds.by])],
        seed=CONFIG.seed,
        code=code("features/associate_site"),
    message:
        "Association of site and outcome"
    script:
        "../scripts/features/associate_site.py"


rule harmonisation:
    input:
        rules.associate_site.output,
        every_repeat(repeat_folder("harmonisation.json")) if HARMONISED else [],


# What each fit sees of the radiomics features: selected and harmonised on its training rows only, not imputed.

if HAS_RADIOMICS:

    rule select_features:
        input:
            features=features_of,
            folds=folds_of,
            used=results("cohort/used.parquet"),
            stability=STABLE,
            harmonisation=of_harmonisation("json"),
            harmonisation_values=of_harmonisation("safetensors"),
            clinical=results("cohort/clinical.parquet") if HARMONISED else [],
        output:
            selection=repeat_folder("selection.parquet"),
            volume=repeat_folder("volume.parquet"),
            # What each fit sees; a folder, since `folds.by` gives the number of folds only when the run has begun.
            tables=directory(repeat_folder("tables")),
        log:
            logs("select_features/{endpoint}/{variant}/r{repeat}"),
        benchmark:
            benchmarks("select_features/{endpoint}/{variant}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
            disk_mb=100,
        params:
            settings=section("selection"),
            seed=CONFIG.seed,
            code=code("features/select_features"),
        message:
            "Select features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}"
        script:
            "../scripts/features/select_features.py"

    rule selection:
        input:
            every_repeat(repeat_folder("selection.parquet")),
