# Everything that is wrong with the data, on one page, before any long computation.
import time

from metaswin.folds.settings import LEAST_FOLDS


rule make_qc:
    input:
        patients=rules.build_cohort.output.patients,
        problems=rules.build_cohort.output.problems,
        clinical=rules.build_cohort.output.clinical,
        outcomes=rules.build_cohort.output.outcomes,
        choice=rules.build_cohort.output.choice,
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


# The first gate: it ends the run where no patient is left or, with `qc.on_problem: stop`, where the data have problems.
# It stands apart, since Snakemake deletes what a failed job has written, and the page is to stay. `run` and no script,
# since of a script Snakemake also shows the command that failed; what is wrong stands in the log, which it shows once.
rule check_data:
    input:
        problems=rules.make_qc.output.table,
        page=rules.make_qc.output.html,
    output:
        touch(results("cohort/data_checked")),
    log:
        logs("check_data"),
    priority: 100
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
        disk_mb=10,
    params:
        settings=section("qc"),
    message:
        "Go on after the quality control, or end the run"
    run:
        from metaswin.files import write_text
        from metaswin.qc.gate import check_data
        from metaswin.qc.settings import QcSettings

        try:
            check_data(input.problems, input.page, QcSettings(**params.settings))
        except UserError as error:
            write_text(log[0], f"{time.strftime('%F %T')} ERROR {error}\n")
            raise WorkflowError(f"The quality control ends the run. Open {input.page}") from None


# No image is converted before, and no new verdict converts one again.
DATA_CHECKED = ancient(rules.check_data.output[0])


rule qc:
    input:
        rules.make_qc.output,
        DATA_CHECKED,
