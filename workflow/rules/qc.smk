# Everything that is wrong with the data, on one page, before any long computation.


rule make_qc:
    input:
        patients=results("cohort/patients.parquet"),
        problems=results("cohort/ingest_problems.parquet"),
        choice=results("ingest/series_choice.parquet"),
        series=results("ingest/series.parquet") if CONFIG.data.source == "dicom" else [],
        clinical=CONFIG.clinical.table,
        template=LIBRARY / "report" / "templates" / "qc.html.j2",
    output:
        html=results("cohort/qc.html"),
        table=results("cohort/qc.parquet"),
        csv=results("cohort/qc.csv"),
    log:
        logs("make_qc"),
    benchmark:
        benchmarks("make_qc")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        disk_mb=100,
    params:
        clinical=section("clinical"),
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        settings=section("qc"),
        single_column_auc=CONFIG.fusion.flag_single_column_auc,
        title=CONFIG.report.title,
        code=code("make_qc"),
    message:
        "Quality control of the data: results/cohort/qc.html"
    script:
        "../scripts/make_qc.py"


# The gate before the long computations. Their jobs take what it writes as ancient: the page may change, they do not run
# again for it; who goes on is decided by the checkpoints.
rule pass_qc:
    input:
        problems=rules.make_qc.output.table,
        page=rules.make_qc.output.html,
    output:
        passed=private("qc.passed"),
    log:
        logs("pass_qc"),
    benchmark:
        benchmarks("pass_qc")
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
        disk_mb=10,
    params:
        settings=section("qc"),
        code=code("pass_qc"),
    message:
        "Go on after the quality control, or stop (qc.on_problem)"
    script:
        "../scripts/pass_qc.py"


rule qc:
    input:
        rules.make_qc.output,
