# Organ and tissue masks on the CT's grid, one job a patient.
if IMAGES:

    rule segment_organs:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            status=results("images/{patient}/status.json"),
            # Only the user's own masks need to know where the RTSTRUCT lies.
            source=patient_source if CONFIG.organs.backend == "masks" else [],
        output:
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
            status=results("organs/{patient}/status.json"),
        log:
            logs("segment_organs/{patient}"),
        benchmark:
            benchmarks("segment_organs/{patient}")
        threads: 1
        resources:
            mem_mb=3000,
            runtime=10,
            disk_mb=200,
        params:
            settings=section("organs"),
            details=DETAILS,
            code=code("segment_organs"),
        message:
            "Organs of {wildcards.patient}"
        script:
            "../scripts/segment_organs.py"

    rule organs:
        input:
            lambda wildcards: expand(results("organs/{patient}/status.json"), patient=found_patients()),
