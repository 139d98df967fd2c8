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
            code=code("extract_radiomics"),
        message:
            "Radiomics of {wildcards.patient}"
        script:
            "../scripts/extract_radiomics.py"

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
            code=code("collect_radiomics"),
        message:
            "Join the radiomics of all patients"
        script:
            "../scripts/collect_radiomics.py"

    # Apart from the features, so that patches do not hold them up nor make them anew.
    rule collect_problems:
        input:
            radiomics=of_planned("radiomics/{patient}.status.json"),
            patches=of_planned("patches/{patient}.status.json") if DEEP else [],
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
            code=code("collect_problems"),
        message:
            "Join the problems of radiomics and patches"
        script:
            "../scripts/collect_problems.py"

elif RADIOMICS:

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
            code=code("import_features"),
        message:
            "Import the table of features"
        script:
            "../scripts/import_features.py"


if RADIOMICS:

    rule radiomics:
        input:
            results("features/radiomics.parquet"),
            KERNELS,
