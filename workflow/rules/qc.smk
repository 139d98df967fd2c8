# Everything that is wrong with the data, on one page, before any long computation.

from metaswin.folds.settings import LEAST_FOLDS


rule make_qc:
    input:
        patients=rules.match_patients.output.patients,
        problems=rules.match_patients.output.problems,
        clinical=rules.match_patients.output.clinical,
        outcomes=rules.match_patients.output.outcomes,
        choice=rules.match_patients.output.choice,
        series=results("ingest/series.parquet") if CONFIG.data.source == "dicom" else [],
        template=LIBRARY / "report" / "templates" / "qc.html.j2",
    output:
        html=results("cohort/qc.html"),
        table=results("cohort/qc.parquet"),
        csv=results("cohort/qc.csv"),
    log:
        logs("make_qc"),
    benchmark:
        benchmarks("make_qc")
    priority: 100
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
        code=code("make_qc"),
    message:
        "Quality control of the data: results/cohort/qc.html"
    script:
        "../scripts/make_qc.py"


# The only checkpoint, and the first gate: the patients that it plans, and no others, have jobs of their own. It ends the
# run where no patient is left or, with `qc.on_problem: stop`, where the data have problems. It stands apart from the
# page, since Snakemake deletes what a failed job has written. `run` and no script, since of a script Snakemake also shows
# the command that failed; what is wrong stands in the log, which it shows once.
# The folder of sources is made anew each time. Snakemake compares the checksum of each JSON with that of the last run,
# so that only the patients whose JSON changed are converted again.
checkpoint build_cohort:
    input:
        matched=rules.match_patients.output.patients,
        matched_sources=rules.match_patients.output.sources,
        problems=rules.make_qc.output.table,
        page=rules.make_qc.output.html,
    output:
        patients=results("cohort/patients.parquet"),
        sources=directory(private("sources")),
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
    message:
        "Plan the patients after the quality control, or end the run"
    run:
        plan_patients(input, output, params.settings, log[0])


rule qc:
    input:
        rules.make_qc.output,
        rules.build_cohort.output,
