# Machine code of the radiomics kernels, compiled once before the jobs that need it. Nothing here needs a network.
# Jobs compile what they do not find, so no patient's job waits for this: targets ask for it, and it goes first.
KERNELS = results("prepared/kernels.json") if IMAGES and CONFIG.radiomics.engine == "metaswin" else []

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
            code=code("radiomics/prepare_kernels"),
        message:
            "Compile the code of radiomics for this processor"
        script:
            "../scripts/radiomics/prepare_kernels.py"
