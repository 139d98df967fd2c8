"""What was not run, said plainly."""

from metaswin.report.data import Endpoint, ReportData

# Evidence by the table that carries it.
EVIDENCE = {
    "calibration": "Calibration",
    "decision": "Decision curves",
    "sample_size": "Criteria of sample size",
    "delong": "DeLong intervals",
    "survival": "Time-to-event models",
    "optimism": "Optimism of the fusion (training against inner and test AUC)",
    "shap_modalities": "Explanation (SHAP)",
    "site": "Association of site or scanner and outcome",
}
VARIANTS = {
    "shuffled": "Control “voxel-shuffled regions”",
    "permuted": "Control “permuted outcome”",
    "leaky": "Control “selection before the split” (wrong on purpose)",
}


def not_run(endpoint: Endpoint, data: ReportData) -> list[str]:
    """Names of the evidence that this run does not have for an endpoint."""
    found = [title for name, title in EVIDENCE.items() if endpoint.rows(name) is None and _applies(name, endpoint)]
    controls = endpoint.rows("controls")
    made = set(controls["control"]) if controls is not None else set()
    found += [title for variant, title in VARIANTS.items() if variant not in made]
    if "unstable" not in set(endpoint.selection.get("step", [])):
        found.append("Stability of features under perturbed masks")
    if not data.pictures:
        found.append("Pictures of the tumours")
    return found


def _applies(name: str, endpoint: Endpoint) -> bool:
    return name != "survival" or endpoint.facts["deaths"] == "nonevent"
