# Everything that is wrong with the data, on one page, before any long computation.
from metaswin.folds.settings import LEAST_FOLDS


rule make_qc:
    input:
        patients=rules.match_patients.output.patients,
        problems=rules.match_patients.output.problems,
        choice=rules.match_patients.output.choice,
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
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        clinical=section("clinical"),
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        settings=section("qc"),
        single_column_auc=CONFIG.fusion.flag_single_column_auc,
        # Where nothing stops the run, an edit of folds.k is none of the cohort's business: the least k counts.
        folds=CONFIG.folds.k if CONFIG.qc.on_problem == "stop" else LEAST_FOLDS,
        details=DETAILS,
        pseudonyms=PSEUDONYMS,
        code=code("make_qc"),
    message:
        "Quality control of the data: results/cohort/qc.html"
    script:
        "../scripts/make_qc.py"


# The gate before the long computations, and the first checkpoint: who goes on. With `qc.on_problem: stop` it fails where
# anyone would be left out.
# The folder of sources is made anew each time. Snakemake compares the checksum of each JSON with that of the last run,
# so that only the patients whose JSON changed are converted again. The stamp differs each time: were all outputs as
# before, Snakemake (9.27) would find the second checkpoint up to date and never ask again who goes on behind it.
checkpoint build_cohort:
    input:
        patients=rules.match_patients.output.patients,
        sources=rules.match_patients.output.sources,
        qc=rules.make_qc.output.table,
        page=rules.make_qc.output.html,
    output:
        patients=results("cohort/patients.parquet"),
        sources=directory(private("sources")),
        stamp=private("build_cohort.stamp"),
    log:
        logs("build_cohort"),
    benchmark:
        benchmarks("build_cohort")
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
        disk_mb=100,
    params:
        settings=section("qc"),
        code=code("build_cohort"),
    message:
        "Go on after the quality control, or stop (qc.on_problem)"
    script:
        "../scripts/build_cohort.py"


rule qc:
    input:
        rules.make_qc.output,
