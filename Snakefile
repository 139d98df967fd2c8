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
include: "workflow/rules/radiomics.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/imaging.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/prediction.smk"


rule all:
    default_target: True
    input:
        rules.report.output.html,
        rules.pack_crate.output.folder,
        KERNELS,
        WEIGHTS,
