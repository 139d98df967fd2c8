# Index the DICOM folder, match it with the clinical table, choose CT and contours, label the patients.
from metaswin.ingest.walk import folder_state


# The DICOM folder is no input: Snakemake would look at the folder's own time only, and walking every file whenever the
# workflow is read is slow. `folder_state` is the names and times of the folders down to the second level, so that a new
# patient, series or file there re-runs the index; after a change further down, or of a file in place, ask for it with
# `--forcerun index_dicom`. The index opens only files that its cache does not know by path, size and time.
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
        code=code("index_dicom"),
    message:
        "Index the DICOM files (headers only)"
    script:
        "../scripts/index_dicom.py"


# The only checkpoint: the patients that it plans, and no others, have jobs of their own.
# The folder of sources is made anew each time. Snakemake compares the checksum of each JSON with that of the last run,
# so that only the patients whose JSON changed are converted again.
checkpoint build_cohort:
    input:
        unpack(cohort_inputs),
    output:
        patients=results("cohort/patients.parquet"),
        problems=results("cohort/early_problems.parquet"),
        clinical=results("cohort/clinical.parquet"),
        outcomes=results("cohort/outcomes.parquet"),
        choice=results("ingest/series_choice.parquet"),
        sources=directory(private("sources")),
    log:
        logs("build_cohort"),
    benchmark:
        benchmarks("build_cohort")
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
        disk_mb=100,
    params:
        data=section("data"),
        clinical=section("clinical"),
        cohort=section("cohort"),
        endpoints={name: section(f"endpoints.{name}") for name in ENDPOINTS},
        ingest=section("ingest"),
        images=section("images"),
        details=DETAILS,
        pseudonyms=PSEUDONYMS,
        code=code("build_cohort"),
    message:
        "Match images with the clinical table; choose CT and contours; label the patients"
    script:
        "../scripts/build_cohort.py"


rule ingest:
    input:
        rules.build_cohort.output,
