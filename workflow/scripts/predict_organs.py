"""Draw the organs of a batch of patients with TotalSegmentator."""

from metaswin.joblog import job
from metaswin.organs.predict import predict_batch
from metaswin.organs.settings import TotalSegmentatorSettings

if __name__ == "__main__":
    with job(snakemake.log[0]):
        predict_batch(
            inputs={name: list(snakemake.input[name]) for name in ("ct", "tumor", "status")},
            output=snakemake.output.batch,
            store=snakemake.params.store,
            settings=TotalSegmentatorSettings(**snakemake.params.settings),
        )
