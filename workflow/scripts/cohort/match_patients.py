"""Match images with the clinical table, choose CT and contours, label the patients."""

from metaswin.cohort.match import CohortPaths, match_patients
from metaswin.config.cohort import ClinicalSettings, CohortSettings, DataSettings, EndpointSettings, IngestSettings
from metaswin.config.imaging import ImagesSettings
from metaswin.core.joblog import job

with job(snakemake.log[0]):
    match_patients(
        data=DataSettings(**snakemake.params.data),
        clinical=ClinicalSettings(**snakemake.params.clinical),
        cohort=CohortSettings(**snakemake.params.cohort),
        endpoints={name: EndpointSettings(**values) for name, values in snakemake.params.endpoints.items()},
        ingest=IngestSettings(**snakemake.params.ingest),
        images=ImagesSettings(**snakemake.params.images),
        paths=CohortPaths(
            patients=snakemake.output.patients,
            problems=snakemake.output.problems,
            choice=snakemake.output.choice,
            sources=snakemake.output.sources,
            clinical=snakemake.output.clinical,
            outcomes=snakemake.output.outcomes,
            details=snakemake.params.details,
        ),
        index=snakemake.input.get("index"),
        index_problems=snakemake.input.get("index_problems"),
        pseudonyms=snakemake.params.pseudonyms,
    )
