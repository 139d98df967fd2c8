# Tumour, rings and organs as DICOM over the original CT. It carries the patients' identity: private, and not part of `all`.
if CONFIG.data.source == "dicom":

    rule export_dicom:
        input:
            source=patient_source,
            ct=results("images/{patient}/ct.nii.gz"),
            tumor=results("images/{patient}/tumor.nii.gz"),
            organs=results("organs/{patient}/organs.nii.gz"),
            names=results("organs/{patient}/organs.json"),
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
            code=code("export_dicom"),
        message:
            "DICOM of {wildcards.patient}"
        script:
            "../scripts/export_dicom.py"

    rule export:
        input:
            lambda wildcards: expand(rules.export_dicom.output, patient=planned_patients()),
