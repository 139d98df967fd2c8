# What the network sees of each patient.
if DEEP:

    rule make_patches:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            organ_facts=results("organs/{patient}/organs.json"),
            regions=results("regions/{patient}/regions.nii.gz"),
            region_facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
        output:
            patch=results("patches/{patient}.nii.gz"),
            status=results("patches/{patient}.status.json"),
        log:
            logs("make_patches/{patient}"),
        benchmark:
            benchmarks("make_patches/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=10,
            disk_mb=50,
        params:
            settings=section("patches"),
            details=DETAILS,
            code=code("make_patches"),
        message:
            "Patch of {wildcards.patient}"
        script:
            "../scripts/make_patches.py"

    rule patches:
        input:
            lambda wildcards: expand(results("patches/{patient}.nii.gz"), patient=used_patients()),
            closed=CLOSED,
