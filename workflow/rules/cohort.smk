# The patients used: those planned whom no stage of the images has excluded.


rule close_cohort:
    input:
        patients=rules.build_cohort.output.patients,
        problems=rules.build_cohort.output.problems,
        outcomes=rules.build_cohort.output.outcomes,
        statuses=of_planned(
            "images/{patient}/status.json", "organs/{patient}/status.json", "regions/{patient}/status.json"
        ),
        regions=of_planned("regions/{patient}/regions.json"),
        images=of_planned("images/{patient}/image.json"),
        checked=DATA_CHECKED,
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
        code=code("close_cohort"),
    message:
        "Closing the cohort"
    script:
        "../scripts/close_cohort.py"


# The second gate, before the radiomics: with `qc.on_problem: stop` it ends the run where a stage of the images excludes
# anyone; with `exclude` it waits for nobody, so that radiomics begin while organs are still drawn. Radiomics always have
# it as an input, and as `ancient`: neither the setting nor a newcomer makes those of the others anew.
rule check_images:
    input:
        statuses=(
            of_planned("images/{patient}/status.json", "organs/{patient}/status.json", "regions/{patient}/status.json")
            if CONFIG.qc.on_problem == "stop"
            else []
        ),
    output:
        touch(results("cohort/images_checked")),
    log:
        logs("check_images"),
    benchmark:
        benchmarks("check_images")
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
        disk_mb=10,
    params:
        code=code("check_images"),
    message:
        "Go on after the images, or end the run"
    script:
        "../scripts/check_images.py"


IMAGES_CHECKED = ancient(rules.check_images.output[0])


rule cohort:
    input:
        results("cohort/used.parquet"),
