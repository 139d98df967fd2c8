"""Check the files that a configuration names before the run starts."""

from pathlib import Path

from metaswin.cohort.clinical_table import missing_column, read_rows
from metaswin.cohort.review import FILE, read_review
from metaswin.config.check import needed_paths
from metaswin.config.model import Config
from metaswin.config.signatures import FOLDER, find_signatures
from metaswin.core.errors import UserError
from metaswin.imaging.model_folder import check_model_folder
from metaswin.imaging.weights import missing_weights
from metaswin.models.encoder_file import check_encoder
from metaswin.prediction.bundle import tampering
from metaswin.running.places import workflow_root

COLUMN_RULES = ("include", "exclude", "baseline_metastasis")  # those of `cohort` that name clinical columns


def check_files(config: Config) -> list[str]:
    """Return messages about paths that do not exist and columns that the clinical table does not have."""
    messages = []
    for key in needed_paths(config):
        path = getattr(config.data, key)
        if path is None:
            continue
        there = Path(path).is_dir() if key == "dicom" else Path(path).is_file()
        if not there:
            kind = "folder" if key == "dicom" else "file"
            messages.append(f"data.{key}: no {kind} {path} (looked from {Path.cwd()})")
    pseudonym_key = config.data.pseudonym_key
    if config.data.pseudonyms and pseudonym_key is not None and not Path(pseudonym_key).is_file():
        messages.append(f"data.pseudonym_key: no file {pseudonym_key} (looked from {Path.cwd()})")
    messages += _check_review(config)
    if config.data.source in ("dicom", "nifti") and config.organs.backend == "totalsegmentator":
        messages += missing_weights(config.organs.totalsegmentator)
    if config.data.source == "dicom" and config.ingest.tumor_source == "nnunet":
        messages += check_model_folder(config.images.nnunet)
    weights = config.deep.pretrained if config.deep.enabled else None
    if weights is not None and not Path(weights).is_file():
        messages.append(f"deep.pretrained: no file {config.deep.pretrained} (looked from {Path.cwd()})")
    if config.embedding.model is not None:
        messages += check_encoder(config.embedding, config.patches)
    if config.embedding.table is not None and not Path(config.embedding.table).is_file():
        messages.append(f"embedding.table: no file {config.embedding.table} (looked from {Path.cwd()})")
    if config.signatures:
        messages += find_signatures(config.signatures, workflow_root() / FOLDER)[1]
    if config.predict.bundle is not None:
        # The clinical table is made during the run; `metaswin predict` has already checked the table from which it is
        # made.
        return messages + tampering(Path(config.predict.bundle))
    if config.clinical.table is None:
        return messages
    try:
        header, _ = read_rows(config.clinical.table)
    except UserError as error:
        return [*messages, str(error)]
    wanted_columns: list[tuple[str, list[str | None]]] = [
        ("clinical.id", [config.clinical.id]),
        ("clinical.columns", list(config.clinical.columns)),
        *((f"cohort.{key}", list(getattr(config.cohort, key))) for key in COLUMN_RULES),
        ("ingest.series.treatment_start", [config.ingest.series.treatment_start]),
    ]
    for name, endpoint in config.endpoints.items():
        wanted_columns.append((f"endpoints.{name}", [*endpoint.columns, endpoint.start]))
    for title, names in wanted_columns:
        found = [missing_column(config.clinical, column, header, title) for column in names if column is not None]
        messages += [message for message in found if message is not None]
    return list(dict.fromkeys(messages))


def _check_review(config: Config) -> list[str]:
    """Return messages about ``cohort.review``.

    The file that `metaswin view` writes does not exist before the first decision.
    """
    path = config.cohort.review
    if path is None:
        return []
    if not Path(path).is_file():
        if Path(path) == Path(config.output.private) / FILE:
            return []
        return [f"cohort.review: no file {path} (looked from {Path.cwd()})"]
    try:
        read_review(path)
    except UserError as error:
        return [f"cohort.review: {error}"]
    return []
