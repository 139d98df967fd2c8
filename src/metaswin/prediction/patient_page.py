"""Write one page per patient with the risk, its limits and its contributions; the page opens offline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.core.formatting import count, days, feature_set_name, part_name
from metaswin.core.pages import environment
from metaswin.prediction.bundle import Bundle
from metaswin.prediction.card import SHOWN, figure
from metaswin.report.build import embedded

FEATURES = 10


def patient_page(
    bundle: Bundle,
    record: Mapping[str, Any],
    rests_on: pd.DataFrame,
    risks: pd.DataFrame,
    qc_image: Path | None,
    member: tuple[int, int] | None,
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    bundle : Bundle
    record : mapping
        See `metaswin.prediction.patients.predicted`.
    rests_on : DataFrame
        See `metaswin.prediction.patients.contributions`, with the column ``value``.
    risks : DataFrame
        See `metaswin.prediction.score.Scored`.
    qc_image : path or None
    member : (int, int) or None
    """
    endpoint = bundle.endpoints[record["endpoint"]]
    horizon = endpoint["settings"].get("horizon_days")
    own = risks[(risks["patient"] == record["patient"]) & (risks["classifier"] == endpoint["classifier"])]
    placed = bundle.scores(record["endpoint"])[record["feature_set"]]
    return _template().render(
        record=record,
        what=f"distant metastasis within {days(horizon)}" if horizon is not None else f"outcome {record['endpoint']}",
        feature_set=feature_set_name(record["feature_set"]),
        models=count(record["members"], "model"),
        member=member,
        marks=sorted(own["probability"]),
        positive=int(own["positive"].sum()),
        modalities_there=[part_name(name).lower() for name in record["modalities"]],
        missing=[part_name(name).lower() for name in record["missing"]],
        limits=placed["limits"] or [],
        trained=placed["n"],
        modalities=bars(rests_on[rests_on["feature"] == ""]),
        features=bars(rests_on[rests_on["feature"] != ""].head(FEATURES)),
        qc_image=embedded(qc_image) if qc_image else None,
        internal={
            SHOWN[name]: figure(bundle.endpoints[record["endpoint"]]["internal"][record["feature_set"]][name])
            for name in SHOWN
        },
        endpoint=endpoint,
        intended=bundle.facts["settings"]["intended_use"],
        fingerprint=bundle.fingerprint[:16],
        version=bundle.facts["metaswin"],
    )


def bars(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return contributions as bars with name, value, position and width in percent; the widest bar fills one side."""
    widest = table["contribution"].abs().max() if len(table) else 0.0
    found = []
    for row in table.itertuples():
        width = 50 * abs(row.contribution) / widest if widest else 0.0
        found.append(
            {
                "name": _words(row.feature) or part_name(row.modality),
                "value": row.value,
                "up": row.contribution > 0,
                "left": 50.0 if row.contribution > 0 else 50 - width,
                "width": width,
                "contribution": f"{row.contribution:+.2f}".replace("-", "−"),
            }
        )
    return found


def _words(feature: str) -> str:
    """Return words such as ``tumor: original firstorder Mean`` for a radiomic feature; other names are unchanged."""
    region, apart, name = feature.partition("__")
    return f"{region}: {name.replace('_', ' ')}" if apart else feature


def per_cent(share: float) -> str:
    """Return a text such as ``23 %``, with one more digit below 10 %."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def _template() -> Any:
    templates = environment("metaswin.prediction")
    templates.filters |= {"per_cent": per_cent}
    return templates.get_template("patient.html.j2")
