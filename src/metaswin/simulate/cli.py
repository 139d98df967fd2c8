"""Define ``metaswin simulate``: write a synthetic cohort and print how well its outcome can be predicted at best."""

import argparse
from pathlib import Path

PRESET_NAMES = ("reference", "volume-only", "null", "batch", "demo")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``simulate`` to the subcommands of `metaswin`."""
    parser = subparsers.add_parser(
        "simulate",
        help="write a synthetic cohort (DICOM + RTSTRUCT + clinical table, or a table of features)",
        description="Write a synthetic head-and-neck cohort whose risk of distant metastasis is known. It is a "
        "phantom for testing pipelines and says nothing about patients.",
    )
    parser.add_argument("--out", required=True, type=Path, help="new or empty folder, or one with a simulation")
    parser.add_argument("-n", type=int, help="number of patients (40)")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="reference", help="what the risk comes from")
    parser.add_argument("--seed", type=int, help="all random numbers derive from it (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that write patients (1)")
    parser.add_argument("--level", choices=("dicom", "table"), help="images, or a table of features (dicom)")
    parser.add_argument("--matrix", type=int, help="rows and columns of a slice (96)")
    parser.add_argument("--coverage", type=float, help="length of the scan in mm (120)")
    parser.add_argument("--prevalence", type=float, help="metastasis within two years (0.22)")
    parser.add_argument("--subtype", action="append", dest="subtypes", help="only this tumour site; may be repeated")
    parser.add_argument("--subtype-effect", type=float, help="log hazard ratio between tumour sites (0)")
    parser.add_argument("--scanner-shift", type=float, help="strength of the scanners' differences, 0 to 1 (0.3)")
    parser.add_argument("--centre-effect", type=float, help="log hazard ratio between centres (0; batch 0.6)")
    parser.add_argument("--missing", type=float, help="fraction of missing cells (0)")
    parser.add_argument("--unknown-primary", type=float, help="fraction of patients with nodes only (0.03)")
    parser.add_argument("--texture-volume-correlation", type=float, help="correlation of texture and log volume (0.3)")
    parser.add_argument("--features", type=int, help="features at table level (300)")
    parser.add_argument("--draws", type=int, help="draws for the population AUCs (1000000)")
    parser.add_argument(
        "--data-faults", action="store_true", help="instead: one small patient for each fault in docs/data-faults.md"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print the population AUCs; with ``--data-faults``, write the patients with faults instead."""
    if arguments.data_faults:
        return _data_faults(arguments.out)
    from metaswin.core.files import read_json
    from metaswin.simulate.cohort import simulate_cohort

    options = options_from(arguments)
    out = simulate_cohort(arguments.out, options, jobs=max(1, arguments.jobs))
    population = read_json(out / "simulation.json")["population"]
    print(f"Population AUC of preset {options.preset}, {population['draws']:,} draws:")
    for name, auc in sorted(population["auc"].items(), key=lambda item: (item[0] != "true risk", item[0])):
        print(f"  {name:<28}{auc:.3f}")
    print(f"{population['definition'][0].upper()}{population['definition'][1:]}.")
    data = "dicom/" if options.level == "dicom" else "features.csv"
    print(f"{options.n} patients: {out}/clinical.csv, {out}/{data}")
    return 0


def _data_faults(out: Path) -> int:
    from metaswin.simulate.data_faults.write import DATA_FAULTS, write_data_faults

    for source in DATA_FAULTS:
        number = len(write_data_faults(out / source, source))
        print(f"{number} patients with one fault each: {out / source}/config.yaml, clinical.csv, dicom/")
    return 0


def options_from(arguments: argparse.Namespace):
    """Return the `SimulationOptions` of the preset with the changes of the command line.

    Raises
    ------
    UserError
        If an option has an invalid value.
    """
    from pydantic import ValidationError

    from metaswin.core.errors import several
    from metaswin.simulate.options import PRESETS, SimulationOptions, preset_options

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    changes = {name: given[name] for name in SimulationOptions.model_fields if name in given and name != "preset"}
    effects = {"subtype": given.get("subtype_effect"), "centre": given.get("centre_effect")}
    effects = {name: value for name, value in effects.items() if value is not None}
    if effects:
        changes["coefficients"] = {**PRESETS[arguments.preset].get("coefficients", {}), **effects}
    try:
        return preset_options(arguments.preset, **changes)
    except ValidationError as error:
        messages = [f"{_flag(str(item['loc'][0]))} {item['input']!r}: {item['msg']}" for item in error.errors()]
        raise several("metaswin simulate cannot run with these options:", messages) from None


def _flag(option: str) -> str:
    if option == "n":
        return "-n"
    return "--subtype" if option == "subtypes" else f"--{option.replace('_', '-')}"
