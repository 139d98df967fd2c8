# What many jobs share, once before them: machine code of the radiomics kernels, whole weights. Nothing here needs a network.
DRAWN = IMAGES and CONFIG.organs.backend == "totalsegmentator"
# Jobs compile what they do not find, so no patient's job waits for this: targets ask for it, and it goes first.
KERNELS = results("prepared/kernels.json") if IMAGES and CONFIG.radiomics.engine == "metaswin" else []
# Only that it is there matters.
WEIGHTS = ancient(results("prepared/weights.json")) if DRAWN else []

if KERNELS:

    rule prepare_kernels:
        output:
            facts=KERNELS,
        log:
            logs("prepare_kernels"),
        benchmark:
            benchmarks("prepare_kernels")
        priority: 100
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            code=code("prepare_kernels"),
        message:
            "Compile the code of radiomics for this processor"
        script:
            "../scripts/prepare_kernels.py"


if DRAWN:
    from metaswin.organs.weights import required

    rule prepare_weights:
        input:
            lambda wildcards: [path for model in required(CONFIG.organs.totalsegmentator) for path in model.files],
        output:
            facts=results("prepared/weights.json"),
        log:
            logs("prepare_weights"),
        benchmark:
            benchmarks("prepare_weights")
        priority: 100
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=30,
            disk_mb=10,
        params:
            settings=section("organs.totalsegmentator"),
            code=code("prepare_weights"),
        message:
            "Verify TotalSegmentator's weights"
        script:
            "../scripts/prepare_weights.py"


rule prepare:
    input:
        KERNELS,
        WEIGHTS,
