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
            code=code("measure_anatomy"),
        message:
            "Anatomy of {wildcards.patient}"
        script:
            "../scripts/measure_anatomy.py"

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
            code=code("collect_anatomy"),
        message:
            "Join the anatomy of all patients"
        script:
            "../scripts/collect_anatomy.py"

    rule anatomy:
        input:
            results("features/anatomy.parquet"),
