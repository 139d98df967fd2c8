"""Whose network is looked at: the patients of the highest risk, and those it was most wrong about."""

import pandas as pd

HIGHEST, WRONG = "highest risk", "most wrong"


def choose_patients(predictions: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` patients, half of them (rounded up) for their risk, the others for the error.

    Parameters
    ----------
    predictions : DataFrame
        Test predictions of one arm and head in one repeat, one row a patient: ``patient, probability, label`` (0, 1
        or missing).
    most : int

    Returns
    -------
    DataFrame
        Those rows, highest risk first, then by the distance of the prediction from the outcome; new column `why`.
        Nobody is there twice; a patient of unknown outcome is never called wrong.
    """
    ranked = predictions.sort_values(["probability", "patient"], ascending=[False, True])
    high = ranked.head((most + 1) // 2)
    error = (predictions["label"].astype("float64") - predictions["probability"]).abs()
    rest = predictions.assign(error=error)[error.notna() & ~predictions["patient"].isin(high["patient"])]
    wrong = rest.sort_values(["error", "patient"], ascending=[False, True]).head(most - len(high))
    return pd.concat([high.assign(why=HIGHEST), wrong.drop(columns="error").assign(why=WRONG)], ignore_index=True)
