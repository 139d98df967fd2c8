rule report:
    input:
        evaluation=rules.evaluate.output,
        survival=rules.evaluate_survival.output if SURVIVAL else [],
        site=rules.associate_site.output,
        controls=rules.evaluate_controls.output,
        optimism=rules.measure_optimism.output,
        flow=results("cohort/flow.json"),
        exclusions=results("cohort/exclusions.parquet"),
        used=results("cohort/used.parquet"),
        clinical=results("cohort/clinical.parquet"),
        problems=problems_of_features,
        selection=every_repeat(repeat_folder("selection.parquet")) if HAS_RADIOMICS else [],
        stability=every_repeat(repeat_folder("stability.parquet")) if STABILITY else [],
        explanation=expand(results("explanation/{endpoint}/shap_{name}.parquet"), endpoint=ENDPOINTS, name=SHAP_TABLES),
        maps=expand(results("explanation/{endpoint}/maps.json"), endpoint=ENDPOINTS) if MAPPED else [],
        map_images=expand(results("explanation/{endpoint}/maps"), endpoint=ENDPOINTS) if MAPPED else [],
        qc_images=of_planned("qc-images/{patient}.png", "qc-images/{patient}.status.json"),
        training=every_fold(final_folder(f"deep/{CONFIG.deep.backbone}/training.json")) if DEEP else [],
        review=kept_predictions,
        templates=report_resources(),
    output:
        html=report(
            results("report/report.html"),
            caption="../report/report.rst",
            category="Report",
            labels={"file": "report.html"},
        ),
        figures=[labelled_figure(path) for path in figure_outputs("svg")],
        pdf=figure_outputs("pdf"),
        tables=[labelled_table(name) for name in table_files(ENDPOINTS)],
    log:
        logs("report"),
    benchmark:
        benchmarks("report")
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=20,
        disk_mb=500,
    params:
        settings=section("report"),
        config=portable(CONFIG.model_dump(mode="json")),
        benchmarks=results("benchmarks"),
        code=code("report/report"),
    message:
        "Write the report"
    script:
        "../scripts/report/report.py"


# What the user gives as one file each, by its name in the crate.
GIVEN = {
    name: path
    for key, name in {"clinical": "clinical table", "sheet": "sheet of images", "features": "table of features"}.items()
    if (path := cohort_inputs(None).get(key))
} | {
    name: path
    for name, path in {
        "encoder of the embeddings": CONFIG.embedding.model,
        "table of embeddings": CONFIG.embedding.table,
    }.items()
    if EMBEDDING and path
}


# The run for others: workflow, versions, settings, hashes, times and report as a Workflow Run RO-Crate.
rule pack_crate:
    input:
        given=list(GIVEN.values()),
        workflow=ancient(workflow_files()),
        report=rules.report.output.html,
        figures=rules.report.output.figures + rules.report.output.pdf,
        tables=rules.report.output.tables,
        computed=[
            results("cohort/clinical.parquet"),
            results("cohort/used.parquet"),
            *expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
            *([results("features/radiomics.parquet")] if HAS_RADIOMICS else []),
            results("evaluation/summary.parquet"),
        ],
    output:
        folder=directory(results("ro-crate")),
    log:
        logs("pack_crate"),
    benchmark:
        benchmarks("pack_crate")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        given=list(GIVEN),
        config=portable(CONFIG.model_dump(mode="json")),
        code=code("report/pack_crate"),
    message:
        "Describe the run: results/ro-crate"
    script:
        "../scripts/report/pack_crate.py"
