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
            checked=IMAGES_CHECKED,
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

    # Networks read this one file: a newcomer who is excluded changes nothing of what they are trained on.
    rule collect_patches:
        input:
            patches=of_planned("patches/{patient}.nii.gz"),
            used=results("cohort/used.parquet"),
        output:
            patches=results("features/patches.safetensors"),
        log:
            logs("collect_patches"),
        benchmark:
            benchmarks("collect_patches")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=30,
            disk_mb=10000,
        params:
            code=code("collect_patches"),
        message:
            "Join the patches of all patients"
        script:
            "../scripts/collect_patches.py"

    rule patches:
        input:
            results("features/patches.safetensors"),
