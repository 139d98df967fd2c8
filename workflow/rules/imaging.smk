from metaswin.imaging.model_folder import model_files

# TotalSegmentator's weights are verified once, before the first batch. The target `prepare` requests kernels and weights.
DRAWN = IMAGES and CONFIG.organs.backend == "totalsegmentator"
# `ancient`: the file must exist, but its age does not matter.
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


# Convert the CT (HU) and the tumour to NIfTI, one job per patient.

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


# Make organ and tissue masks on the CT's grid, one job per patient. Before, TotalSegmentator draws them in batches.
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
            # The store is not declared as an output. Otherwise Snakemake would remove the results of a killed job.
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
            # Only the backend `masks` reads the source, because it needs the location of the RTSTRUCT.
            source=patient_source if CONFIG.organs.backend == "masks" else [],
            # `ancient`: a batch is made again when a patient joins it, but the organs of its other patients are not.
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


# Make lesions and peritumoral rings on one isotropic grid, one job per patient.
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


# Export tumour, rings, organs and what was measured as DICOM that references the original CT. The files contain the patients' identity.
# Therefore they are private, and they are not part of `all`.
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
            radiomics=results("radiomics/{patient}.parquet"),
            predictions=results("predictions/predictions.parquet") if CONFIG.predict.bundle else [],
            prediction_facts=results("predictions/facts.json") if CONFIG.predict.bundle else [],
        output:
            seg=private("export/{patient}/segmentation.dcm"),
            rtstruct=private("export/{patient}/structures.dcm"),
            report=private("export/{patient}/report.dcm"),
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
            settings=section("export"),
            code=code("imaging/export_dicom"),
        message:
            "DICOM of {wildcards.patient}"
        script:
            "../scripts/imaging/export_dicom.py"

    rule export:
        input:
            lambda wildcards: expand(rules.export_dicom.output, patient=planned_patients()),


# Draw one QC image per patient (CT with contours in three planes), and flag unexpected masks.
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


# Make the patch that the networks read for each patient.
if PATCHES:

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

    # Networks read this one file. Therefore a new patient who is excluded does not change their training data.
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
