# What many jobs share, once before them: machine code of the radiomics kernels, whole weights. Nothing here needs a network.
DRAWN = IMAGES and CONFIG.organs.backend == "totalsegmentator"
# Only that they are there matters: making them anew changes no value.
KERNELS = ancient(results("prepared/kernels.json"))
WEIGHTS = ancient(results("prepared/weights.json"))

if IMAGES:

    rule prepare_kernels:
        output:
            facts=results("prepared/kernels.json"),
        log:
            logs("prepare_kernels"),
        benchmark:
            benchmarks("prepare_kernels")
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=10,
            disk_mb=10,
        params:
            code=code("prepare_kernels"),
        message:
            "Compile the kernels of radiomics"
        script:
            "../scripts/prepare_kernels.py"


if DRAWN:
    from metaswin.organs.weights import required

    rule prepare_weights:
        input:
            [path for weights in required(CONFIG.organs.totalsegmentator) for path in weights.files],
        output:
            facts=results("prepared/weights.json"),
        log:
            logs("prepare_weights"),
        benchmark:
            benchmarks("prepare_weights")
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
        KERNELS if IMAGES else [],
        WEIGHTS if DRAWN else [],
