from metaswin.cohort.walk import folder_state
from metaswin.config.cohort import LEAST_FOLDS

# Index the DICOM folder, match it with the clinical table, choose CT and contours, and label the patients.


# The DICOM folder is not an input of the rule. Snakemake would only check the time of the folder itself, and a walk
# over all files whenever the workflow is read is slow. `folder_state` contains the names and times of the folders down
# to the second level. Therefore a new patient, series or file there reruns the index. After a change at a deeper level,
# or of a file in place, use `--forcerun index_dicom`. The index opens only files whose path, size and time are not in
# its cache.
rule index_dicom:
    output:
        series=results("ingest/series.parquet"),
        private_series=private("ingest/series.parquet"),
        problems=results("ingest/index_problems.parquet"),
    log:
        logs("index_dicom"),
    benchmark:
        benchmarks("index_dicom")
    threads: 8
    resources:
        mem_mb=memory(2000),
        runtime=60,
        disk_mb=500,
    params:
        folder=CONFIG.data.dicom,
        folder_state=lambda wildcards: folder_state(CONFIG.data.dicom),
        patient_id=CONFIG.ingest.patient_id,
        patient_folder_level=CONFIG.ingest.patient_folder_level,
        cache=private("ingest/cache.parquet"),
        details=DETAILS,
        pseudonyms=PSEUDONYMS,
        code=code("cohort/index_dicom"),
    message:
        "Index the DICOM files (headers only)"
    script:
        "../scripts/cohort/index_dicom.py"


rule match_patients:
    input:
        unpack(cohort_inputs),
    output:
        patients=results("ingest/patients.parquet"),
        problems=results("cohort/early_problems.parquet"),
        clinical=results("cohort/clinical.parquet"),
        outcomes=results("cohort/outcomes.parquet"),
        choice=results("ingest/series_choice.parquet"),
        sources=directory(private("ingest/sources")),
    log:
        logs("match_patients"),
    benchmark:
        benchmarks("match_patients")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
        disk_mb=100,
    params:
        data=section("data"),
        clinical=section("clinical"),
        # The exclusions of a review, and not its file: a decision that excludes nobody re-runs nothing.
        cohort=section("cohort") | ({} if EXCLUDED_BY_REVIEW else {"review": None}),
        review=EXCLUDED_BY_REVIEW,
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        ingest=section("ingest"),
        images=section("images"),
        details=DETAILS,
        pseudonyms=PSEUDONYMS,
        code=code("cohort/match_patients"),
    message:
        "Match images with the clinical table, choose CT and contours, label the patients"
    script:
        "../scripts/cohort/match_patients.py"


rule ingest:
    input:
        rules.match_patients.output,


# The page of the quality control shows all data problems before any long computation.


rule make_qc:
    input:
        patients=rules.match_patients.output.patients,
        problems=rules.match_patients.output.problems,
        clinical=rules.match_patients.output.clinical,
        outcomes=rules.match_patients.output.outcomes,
        choice=rules.match_patients.output.choice,
        series=results("ingest/series.parquet") if CONFIG.data.source == "dicom" else [],
        template=[LIBRARY / "cohort/templates/qc.html.j2", LIBRARY / "core/templates/macros.j2"],
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
        # With qc.on_problem: exclude, a change of folds.k must not rerun the cohort. Therefore the smallest k is used.
        folds=CONFIG.folds.k if CONFIG.qc.on_problem == "stop" else LEAST_FOLDS,
        details=DETAILS,
        code=code("cohort/make_qc"),
    message:
        "Quality control of the data: results/cohort/qc.html"
    script:
        "../scripts/cohort/make_qc.py"


# Leave one centre out: the centres of the planned patients are grouped into folds. The number of folds is known only
# after this rule. Therefore the checkpoint waits for it.
BY_CENTRE = CONFIG.folds.by is not None

if BY_CENTRE:

    rule group_centres:
        input:
            patients=rules.match_patients.output.patients,
            clinical=rules.match_patients.output.clinical,
            outcomes=rules.match_patients.output.outcomes,
            choice=rules.match_patients.output.choice,
            series=results("ingest/series.parquet") if CONFIG.data.source == "dicom" else [],
        output:
            centres=results("cohort/centres.parquet"),
        log:
            logs("group_centres"),
        benchmark:
            benchmarks("group_centres")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            column=CONFIG.folds.by,
            code=code("cohort/group_centres"),
        message:
            "Group the patients by {params.column}"
        script:
            "../scripts/cohort/group_centres.py"


# The only checkpoint, and the first gate. Only the patients that it plans have their own jobs. It stops the run if no
# patient is left or, with `qc.on_problem: stop`, if the data have problems. It is separate from the rule of the page,
# because Snakemake deletes the output of a failed job. It uses `run` instead of a script, because Snakemake also shows
# the failed command of a script. The log contains the error, and Snakemake shows it once. The folder of sources is
# written again each time. Snakemake compares the checksum of each JSON file with that of the last run. Therefore only
# patients whose JSON file changed are converted again.
checkpoint build_cohort:
    input:
        matched=rules.match_patients.output.patients,
        matched_sources=rules.match_patients.output.sources,
        problems=rules.make_qc.output.table,
        page=rules.make_qc.output.html,
        centres=rules.group_centres.output.centres if BY_CENTRE else [],
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
        "Plan the patients after the quality control, or stop the run"
    run:
        plan_patients(input, output, params.settings, log[0])


rule qc:
    input:
        rules.make_qc.output,
        rules.build_cohort.output,


# The used patients are the planned patients that no image stage has excluded.


rule close_cohort:
    input:
        patients=rules.build_cohort.output.patients,
        problems=rules.match_patients.output.problems,
        outcomes=rules.match_patients.output.outcomes,
        statuses=of_planned(
            "images/{patient}/status.json", "organs/{patient}/status.json", "regions/{patient}/status.json"
        ),
        regions=of_planned("regions/{patient}/regions.json"),
        images=of_planned("images/{patient}/image.json"),
    output:
        used=results("cohort/used.parquet"),
        exclusions=results("cohort/exclusions.parquet"),
        flow=results("cohort/flow.json"),
        counts=results("cohort/outcomes.json"),
    log:
        logs("close_cohort"),
    benchmark:
        benchmarks("close_cohort")
    priority: 100
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        code=code("cohort/close_cohort"),
    message:
        "List the used patients"
    script:
        "../scripts/cohort/close_cohort.py"


# The second gate, before the radiomics. With `qc.on_problem: stop`, it stops the run if an image stage excludes a
# patient. With `exclude`, it does not wait, so radiomics start while organs of other patients are still segmented.
# Radiomics always have it as an `ancient` input. Therefore neither a change of the setting nor a new patient reruns
# existing radiomics.
rule check_images:
    input:
        statuses=(
            of_planned("images/{patient}/status.json", "organs/{patient}/status.json", "regions/{patient}/status.json")
            if CONFIG.qc.on_problem == "stop"
            else []
        ),
    output:
        # The file is kept if the rule fails, because existing radiomics would be rerun without it.
        update(touch(results("cohort/images_checked"))),
    log:
        logs("check_images"),
    benchmark:
        benchmarks("check_images")
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
        disk_mb=10,
    message:
        "Check the images before radiomics, or stop the run"
    script:
        "../scripts/cohort/check_images.py"


IMAGES_CHECKED = ancient(rules.check_images.output[0])


rule cohort:
    input:
        results("cohort/used.parquet"),


rule make_folds:
    input:
        used=results("cohort/used.parquet"),
        outcomes=results("cohort/outcomes.parquet"),
        counts=results("cohort/outcomes.json"),
        clinical=results("cohort/clinical.parquet"),
        centres=rules.group_centres.output.centres if BY_CENTRE else [],
    output:
        folds=results("folds/{endpoint}.parquet"),
        facts=results("folds/{endpoint}.json"),
    log:
        logs("make_folds/{endpoint}"),
    benchmark:
        benchmarks("make_folds/{endpoint}")
    # Too few events among the used patients are reported as early as possible. make_qc has warned before.
    priority: 100
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=100,
    params:
        settings=section("folds"),
        endpoint=lambda wildcards: section(f"endpoints.{wildcards.endpoint}"),
        seed=CONFIG.seed,
        code=code("cohort/make_folds"),
    message:
        "Make the folds of {wildcards.endpoint}"
    script:
        "../scripts/cohort/make_folds.py"


rule folds:
    input:
        expand(results("folds/{endpoint}.parquet"), endpoint=ENDPOINTS),
