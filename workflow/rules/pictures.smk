# One picture a patient: CT with contours in three planes, and flags of odd masks.
if IMAGES:

    rule picture_patient:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            organ_facts=results("organs/{patient}/organs.json"),
            regions=results("regions/{patient}/regions.nii.gz"),
            region_facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
        output:
            picture=results("pictures/{patient}.png"),
            status=results("pictures/{patient}.status.json"),
        log:
            logs("picture_patient/{patient}"),
        benchmark:
            benchmarks("picture_patient/{patient}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=10,
        params:
            settings=section("pictures"),
            details=DETAILS,
            code=code("picture_patient"),
        message:
            "Picture of {wildcards.patient}"
        script:
            "../scripts/picture_patient.py"

    rule pictures:
        input:
            of_planned("pictures/{patient}.png"),
