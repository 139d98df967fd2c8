# Who goes on: the second checkpoint. Later stages read the used patients and their outcomes from here.


checkpoint close_cohort:
    input:
        patients=results("cohort/patients.parquet"),
        problems=results("cohort/ingest_problems.parquet"),
        clinical=CONFIG.clinical.table,
        stamp=private("build_cohort.stamp"),
        statuses=of_found_patients(
            "images/{patient}/status.json", "organs/{patient}/status.json", "regions/{patient}/status.json"
        ),
        regions=of_found_patients("regions/{patient}/regions.json"),
        images=of_found_patients("images/{patient}/image.json"),
    output:
        used=results("cohort/used.parquet"),
        exclusions=results("cohort/exclusions.parquet"),
        flow=results("cohort/flow.json"),
        clinical=results("cohort/clinical.parquet"),
        outcomes=results("cohort/outcomes.parquet"),
        counts=results("cohort/outcomes.json"),
    log:
        logs("close_cohort"),
    benchmark:
        benchmarks("close_cohort")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        clinical=section("clinical"),
        qc=section("qc"),
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        pseudonyms=PSEUDONYMS,
        code=code("close_cohort"),
    message:
        "Closing the cohort"
    script:
        "../scripts/close_cohort.py"


rule cohort:
    input:
        results("cohort/used.parquet"),
