from snakemake.utils import min_version

# The version that is tested; pyproject.toml states the same range.
min_version("9.27")


# The defaults; `--configfile` and `--config` go on top of them.
configfile: f"{workflow.basedir}/config/config.yaml"


# What Snakemake's own report says first (snakemake --report report.zip).
report: "workflow/report/workflow.rst"


# Used with `--sdm apptainer` only; envs/metaswin.def builds it from the lock.
container: f"{workflow.basedir}/envs/metaswin.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/qc.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/organs.smk"
include: "workflow/rules/anatomy.smk"
include: "workflow/rules/regions.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/radiomics.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/folds.smk"
include: "workflow/rules/stability.smk"
include: "workflow/rules/harmonisation.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/deep.smk"
include: "workflow/rules/fusion.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/survival.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/explanation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bundle.smk"
include: "workflow/rules/predict.smk"


rule all:
    default_target: True
    input:
        rules.report.output.html,
        KERNELS,
        WEIGHTS,
