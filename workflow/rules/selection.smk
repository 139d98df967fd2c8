# What each fit sees of the radiomics features: selected and harmonised on its training rows only, not imputed.
from metaswin.selection.settings import SETS

if RADIOMICS:

    rule select_features:
        input:
            features=features_of,
            folds=folds_of,
            used=results("cohort/used.parquet"),
            stability=STABLE,
            harmonisation=of_harmonisation("json"),
            harmonisation_values=of_harmonisation("safetensors"),
            clinical=results("cohort/clinical.parquet") if HARMONISED else [],
        output:
            selection=repeat_folder("selection.parquet"),
            volume=repeat_folder("volume.parquet"),
            tables=expand(fit_folder("{set}.parquet"), fit=FITS, set=SETS, allow_missing=True),
        log:
            logs("select_features/{endpoint}/{variant}/r{repeat}"),
        benchmark:
            benchmarks("select_features/{endpoint}/{variant}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
            disk_mb=100,
        params:
            settings=section("selection"),
            # The order of the tables.
            fits=FITS,
            seed=CONFIG.seed,
            code=code("select_features"),
        message:
            "Select features: {wildcards.endpoint}, {wildcards.variant}, repeat {wildcards.repeat}"
        script:
            "../scripts/select_features.py"

    rule selection:
        input:
            every_repeat(repeat_folder("selection.parquet")),
