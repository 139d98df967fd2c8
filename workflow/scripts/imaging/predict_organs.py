"""Draw the organs of a batch of patients with TotalSegmentator."""

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.core.joblog import job
from metaswin.imaging.totalsegmentator import BatchInputs, predict_batch

if __name__ == "__main__":
    with job(snakemake.log[0]):
        predict_batch(
            inputs=BatchInputs(ct=snakemake.input.ct, tumor=snakemake.input.tumor, status=snakemake.input.status),
            output=snakemake.output.batch,
            store=snakemake.params.store,
            settings=TotalSegmentatorSettings(**snakemake.params.settings),
        )
