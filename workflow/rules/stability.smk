# How much the features change when the tumour is drawn a little differently: a subset of the patients, perturbed masks.
from metaswin.stability.subset import subset

STABILITY = IMAGES and CONFIG.stability.enabled


if STABILITY:

    rule perturb_regions:
        input:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
            status=results("regions/{patient}/status.json"),
            checked=IMAGES_CHECKED,
        output:
            table=results("stability/{patient}.parquet"),
            status=results("stability/{patient}.status.json"),
        log:
            logs("perturb_regions/{patient}"),
        benchmark:
            benchmarks("perturb_regions/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=60,
            disk_mb=50,
        params:
            settings=CONFIG.stability.model_dump(
                mode="json", include={"perturbations", "shift", "noise", "smoothness", "margin"}
            ),
            # Both engines give the same values; dozens of masks take minutes with PyRadiomics.
            radiomics=CONFIG.radiomics.model_dump(mode="json", exclude={"engine"}),
            regions=section("regions"),
            details=DETAILS,
            seed=CONFIG.seed,
            code=code("perturb_regions"),
        message:
            "Features of perturbed masks of {wildcards.patient}"
        script:
            "../scripts/perturb_regions.py"

    rule collect_stability:
        input:
            tables=lambda wildcards: expand(results("stability/{patient}.parquet"), patient=perturbed_patients()),
            used=results("cohort/used.parquet"),
        output:
            features=results("features/perturbed.parquet"),
            facts=results("features/perturbed.json"),
        log:
            logs("collect_stability"),
        benchmark:
            benchmarks("collect_stability")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=500,
        params:
            code=code("collect_stability"),
        message:
            "Join the features of perturbed masks"
        script:
            "../scripts/collect_stability.py"

    rule judge_stability:
        input:
            perturbed=results("features/perturbed.parquet"),
            folds=results("folds/{endpoint}.parquet"),
        output:
            stability=results("models/{endpoint}/as-is/r{repeat}/stability.parquet"),
        log:
            logs("judge_stability/{endpoint}/r{repeat}"),
        benchmark:
            benchmarks("judge_stability/{endpoint}/r{repeat}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=50,
        params:
            settings=section("stability"),
            code=code("judge_stability"),
        message:
            "Stable features: {wildcards.endpoint}, repeat {wildcards.repeat}"
        script:
            "../scripts/judge_stability.py"


# One file serves all variants: none of them changes whose masks are perturbed, nor who is in training.
STABLE = results("models/{endpoint}/as-is/r{repeat}/stability.parquet") if STABILITY else []


rule stability:
    input:
        every_repeat(repeat_folder("stability.parquet")) if STABILITY else [],
