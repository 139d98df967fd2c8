"""Score one patient by the published signatures."""

from metaswin.config.signatures import Signature
from metaswin.core.joblog import job
from metaswin.features.signatures import SignatureInputs, extract_signatures

with job(snakemake.log[0]):
    extract_signatures(
        inputs=SignatureInputs(snakemake.input.ct, snakemake.input.tumor, snakemake.input.status),
        table=snakemake.output.table,
        status=snakemake.output.status,
        signatures={name: Signature(**settings) for name, settings in snakemake.params.signatures.items()},
        details=snakemake.params.details,
        threads=snakemake.threads,
    )
