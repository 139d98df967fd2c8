from metaswin.imaging.model_folder import model_files

# TotalSegmentator's weights, verified once before the first batch; `prepare` is both.
DRAWN = IMAGES and CONFIG.organs.backend == "totalsegmentator"
# Only that it is there matters.
WEIGHTS = ancient(results("prepared/weights.json")) if DRAWN else []

if DRAWN:
    from metaswin.imaging.weights import required

    rule prepare_weights:
        input:
            lambda wildcards: [path for model in required(CONFIG.organs.totalsegmentator) for path in model.files],
        output:
            facts=results("prepared/weights.json"),
        log:
            logs("prepare_weights"),
        benchmark:
            benchmarks("prepare_weights")
        priority: 100
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=30,
            disk_mb=10,
        params:
            settings=section("organs.totalsegmentator"),
            code=code("imaging/prepare_weights"),
        message:
            "Verify TotalSegmentator's weights"
        script:
            "../scripts/imaging/prepare_weights.py"


rule prepare:
    input:
        KERNELS,
        WEIGHTS,


# CT in HU and the tumour as NIfTI, one job a patient.

AUTOMATIC = CONFIG.data.source == "dicom" and CONFIG.ingest.tumor_source == "nnunet"

if IMAGES:

    rule convert_images:
        input:
            source=patient_source,
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
            code=code("imaging/convert_images"),
        message:
            "CT and tumour of {wildcards.patient}"
        script:
            "../scripts/imaging/convert_images.py"

    rule images:
        input:
            of_planned("images/{patient}/status.json"),


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
            code=code("imaging/predict_organs"),
        message:
            "Organs of batch {wildcards.batch} by TotalSegmentator"
        script:
            "../scripts/imaging/predict_organs.py"


if IMAGES:

    rule segment_organs:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            status=results("images/{patient}/status.json"),
            # Only the user's own masks need to know where the RTSTRUCT lies.
            source=patient_source if CONFIG.organs.backend == "masks" else [],
            # Only that it is there matters: a batch is made again when a patient joins it, and the others stay as they are.
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
            code=code("imaging/segment_organs"),
        message:
            "Organs of {wildcards.patient}"
        script:
            "../scripts/imaging/segment_organs.py"

    rule organs:
        input:
            of_planned("organs/{patient}/status.json"),
            WEIGHTS,


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
            code=code("imaging/make_regions"),
        message:
            "Regions of {wildcards.patient}"
        script:
            "../scripts/imaging/make_regions.py"

    rule regions:
        input:
            of_planned("regions/{patient}/status.json"),


# Tumour, rings and organs as DICOM over the original CT. It carries the patients' identity: private, and not part of `all`.
if CONFIG.data.source == "dicom":

    rule export_dicom:
        input:
            source=patient_source,
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            organ_facts=results("organs/{patient}/organs.json"),
            regions=results("regions/{patient}/regions.nii.gz"),
            region_facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
        output:
            seg=private("export/{patient}/segmentation.dcm"),
            rtstruct=private("export/{patient}/structures.dcm"),
        log:
            logs("export_dicom/{patient}"),
        benchmark:
            benchmarks("export_dicom/{patient}")
        threads: 1
        resources:
            mem_mb=memory(6000),
            runtime=20,
            disk_mb=200,
        params:
            code=code("imaging/export_dicom"),
        message:
            "DICOM of {wildcards.patient}"
        script:
            "../scripts/imaging/export_dicom.py"

    rule export:
        input:
            lambda wildcards: expand(rules.export_dicom.output, patient=planned_patients()),


# One QC image a patient: CT with contours in three planes, and flags of unusual masks.
if IMAGES:

    rule draw_qc_image:
        input:
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            organ_facts=results("organs/{patient}/organs.json"),
            regions=results("regions/{patient}/regions.nii.gz"),
            region_facts=results("regions/{patient}/regions.json"),
            status=results("regions/{patient}/status.json"),
        output:
            qc_image=results("qc-images/{patient}.png"),
            status=results("qc-images/{patient}.status.json"),
        log:
            logs("draw_qc_image/{patient}"),
        benchmark:
            benchmarks("draw_qc_image/{patient}")
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=10,
            disk_mb=10,
        params:
            settings=section("qc_images"),
            details=DETAILS,
            code=code("imaging/draw_qc_image"),
        message:
            "QC image of {wildcards.patient}"
        script:
            "../scripts/imaging/draw_qc_image.py"

    rule pictures:
        input:
            of_planned("qc-images/{patient}.png"),


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
            code=code("imaging/make_patches"),
        message:
            "Patch of {wildcards.patient}"
        script:
            "../scripts/imaging/make_patches.py"

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
            code=code("imaging/collect_patches"),
        message:
            "Join the patches of all patients"
        script:
            "../scripts/imaging/collect_patches.py"

    rule patches:
        input:
            results("features/patches.safetensors"),
