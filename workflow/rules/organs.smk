# Organ and tissue masks on the CT's grid, one job a patient. TotalSegmentator draws in batches before.
STORE = results("scratch/organs")

if DRAWN:
    TOTALSEGMENTATOR = CONFIG.organs.totalsegmentator

    rule predict_organs:
        input:
            ct=of_batch("images/{patient}/ct.nii.gz"),
            tumor=of_batch("images/{patient}/tumor.nii.gz"),
            status=of_batch("images/{patient}/status.json"),
            weights=WEIGHTS,
        output:
            batch=results("organs/batches/{batch}.json"),
        log:
            logs("predict_organs/{batch}"),
        benchmark:
            benchmarks("predict_organs/{batch}")
        threads: TOTALSEGMENTATOR.threads
        resources:
            mem_mb=memory(12000),
            runtime=720,
            disk_mb=5000,
            gpu=1 if TOTALSEGMENTATOR.device == "cuda" else 0,
        params:
            settings=section("organs.totalsegmentator"),
            # Not declared, so that Snakemake leaves what a killed job has finished.
            store=STORE,
            code=code("predict_organs"),
        message:
            "Organs of batch {wildcards.batch} by TotalSegmentator"
        script:
            "../scripts/predict_organs.py"


if IMAGES:

    rule segment_organs:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            status=results("images/{patient}/status.json"),
            # Only the user's own masks need to know where the RTSTRUCT lies.
            source=patient_source if CONFIG.organs.backend == "masks" else [],
            # Only that it is there matters: a batch is made anew when a patient joins it, and the others go on as they are.
            batch=ancient(batch_of) if DRAWN else [],
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
            mem_mb=memory(3000),
            runtime=10,
            disk_mb=200,
        params:
            settings=section("organs"),
            store=STORE,
            details=DETAILS,
            code=code("segment_organs"),
        message:
            "Organs of {wildcards.patient}"
        script:
            "../scripts/segment_organs.py"

    rule organs:
        input:
            of_planned("organs/{patient}/status.json"),
            WEIGHTS,
