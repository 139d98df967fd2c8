# Compile the machine code of the radiomics kernels once, before the jobs that need it. This needs no network.
# A job compiles missing kernels itself, so the jobs of the patients do not wait for this rule. The targets request the
# file, and its priority puts this rule first.
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
