# ComBat of the features in every fit of a repeat, fitted on its training rows only; the association of site and outcome.
HARMONISED = RADIOMICS and CONFIG.harmonisation.method != "none"


if HARMONISED:

    rule harmonise:
        input:
            features=features_of,
            folds=folds_of,
            used=results("cohort/used.parquet"),
            clinical=results("cohort/clinical.parquet"),
        output:
            facts=repeat_folder("harmonisation.json"),
            values=repeat_folder("harmonisation.safetensors"),
            rows=repeat_folder("harmonised.parquet"),
        log:
            logs("harmonise/{endpoint}/{variant}/r{repeat}"),
        benchmark:
            benchmarks("harmonise/{endpoint}/{variant}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=20,
            disk_mb=50,
        params:
            settings=section("harmonisation"),
            code=code("harmonise"),
        message:
            "Harmonise: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}"
        script:
            "../scripts/harmonise.py"


rule associate_site:
    input:
        outcomes=results("cohort/outcomes.parquet"),
        used=results("cohort/used.parquet"),
        clinical=results("cohort/clinical.parquet"),
    output:
        site=results("evaluation/site.parquet"),
    log:
        logs("associate_site"),
    benchmark:
        benchmarks("associate_site")
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
        disk_mb=10,
    params:
        # Where patients come from, as far as the run knows: the batch, and what the folds are balanced by.
        columns=[CONFIG.harmonisation.batch, *CONFIG.folds.stratify],
        seed=CONFIG.seed,
        code=code("associate_site"),
    message:
        "Association of site and outcome"
    script:
        "../scripts/associate_site.py"


rule harmonisation:
    input:
        rules.associate_site.output,
        every_repeat(repeat_folder("harmonisation.json")) if HARMONISED else [],
