# Lesions and peritumoral rings on one isotropic grid, one job a patient.
if IMAGES:

    rule make_regions:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
            status=results("organs/{patient}/status.json"),
        output:
            ct=results("regions/{patient}/ct.nii.gz"),
            regions=results("regions/{patient}/regions.nii.gz"),
            facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
        log:
            logs("make_regions/{patient}"),
        benchmark:
            benchmarks("make_regions/{patient}")
        threads: 1
        resources:
            mem_mb=memory(3000),
            runtime=10,
            disk_mb=200,
        params:
            settings=section("regions"),
            details=DETAILS,
            code=code("make_regions"),
        message:
            "Regions of {wildcards.patient}"
        script:
            "../scripts/make_regions.py"

    rule regions:
        input:
            of_planned("regions/{patient}/status.json"),
