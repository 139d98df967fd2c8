# CT in HU and the tumour as NIfTI, one job a patient.
from metaswin.images.model_folder import model_files

AUTOMATIC = CONFIG.data.source == "dicom" and CONFIG.ingest.tumor_source == "nnunet"

if IMAGES:

    rule convert_images:
        input:
            source=patient_source,
            checked=DATA_CHECKED,
            model=model_files(CONFIG.images.nnunet) if AUTOMATIC else [],
        output:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            facts=results("images/{patient}/image.json"),
            status=results("images/{patient}/status.json"),
        log:
            logs("convert_images/{patient}"),
        benchmark:
            benchmarks("convert_images/{patient}")
        threads: 2 if AUTOMATIC else 1
        resources:
            mem_mb=memory(10000 if AUTOMATIC else 3000),
            runtime=60 if AUTOMATIC else 10,
            disk_mb=1000,
            gpu=int(AUTOMATIC),
        params:
            settings=section("images"),
            details=DETAILS,
            code=code("convert_images"),
        message:
            "CT and tumour of {wildcards.patient}"
        script:
            "../scripts/convert_images.py"

    rule images:
        input:
            of_planned("images/{patient}/status.json"),
