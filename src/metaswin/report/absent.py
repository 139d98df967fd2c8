"""What was not run, said plainly with the setting that left it out."""

from collections.abc import Mapping
from typing import Any

from metaswin.report.controls import CONTROLS, not_made
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


def not_run(endpoint: Endpoint, data: ReportData, config: Mapping[str, Any]) -> list[str]:
    """What this run does not have for an endpoint, each with the reason where it is known."""
    missing = {title: "" for name, title in EVIDENCE.items() if endpoint.rows(name) is None}
    if endpoint.facts["deaths"] != "nonevent":
        missing.pop(EVIDENCE["survival"], None)
    elif not config["survival"]["enabled"] and EVIDENCE["survival"] in missing:
        missing[EVIDENCE["survival"]] = "setting survival.enabled: false"
    if EVIDENCE["site"] in missing and "site" in endpoint.tables:
        missing[EVIDENCE["site"]] = "nothing is known of scanner or batch"
    missing |= {f"Control “{CONTROLS[name][0]}”": why for name, why in not_made(endpoint).items()}
    if "radiomics" in endpoint.facts["modalities"]:
        if endpoint.rows("stability") is None:
            missing["Stability of features under perturbed masks"] = ""
        if config["harmonisation"]["method"] == "none":
            missing["Harmonisation of scanners"] = "setting harmonisation.method: none"
    if not data.pictures:
        missing["Pictures of the tumours"] = "no images" if config["source"] not in ("dicom", "nifti") else ""
    return [f"{title} ({why})" if why else title for title, why in missing.items()]
