"""Define the command ``metaswin radiomics``, which writes the features of one image and one mask to a table."""

import argparse
import hashlib
import json
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the subcommands of ``metaswin``."""
    parser = commands.add_parser("radiomics", help="compute the radiomic features of one image and one mask")
    parser.add_argument("image", type=Path, help="volume in any format SimpleITK reads")
    parser.add_argument("mask", type=Path, help="label map on the grid of the image")
    parser.add_argument("-o", "--output", type=Path, required=True, help="table to write: .parquet or .csv, one row")
    parser.add_argument("-p", "--parameters", type=Path, help="PyRadiomics parameter file (default: its defaults)")
    parser.add_argument("-l", "--label", type=int, help="label of the mask (default: that of the parameters, or 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compute the features and write the table."""
    import pandas as pd

    from metaswin import __version__
    from metaswin.core.errors import UserError
    from metaswin.core.files import atomic, write_table
    from metaswin.radiomics.features import extract_features
    from metaswin.radiomics.parameters import read_parameters

    if arguments.output.suffix not in (".parquet", ".csv"):
        raise UserError(f"{arguments.output} ends neither in .parquet nor in .csv; choose one of these endings")
    settings = {} if arguments.label is None else {"label": arguments.label}
    parameters = read_parameters(arguments.parameters, settings)
    values = extract_features(arguments.image, arguments.mask, arguments.parameters, **settings)
    table = pd.DataFrame([{"image": arguments.image.name, "mask": arguments.mask.name, **values}])
    if arguments.output.suffix == ".csv":
        with atomic(arguments.output) as path:
            table.to_csv(path, index=False)
    else:
        asked = json.dumps([parameters.settings, parameters.image_types, parameters.features], sort_keys=True)
        digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
        write_table(arguments.output, table, {"engine": "metaswin", "version": __version__, "settings_hash": digest})
    print(f"{len(values)} features written to {arguments.output}")
    return 0
