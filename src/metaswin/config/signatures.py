"""Define and read the files of published signatures."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from metaswin.config.load import message_of
from metaswin.config.read import read_config
from metaswin.core.errors import UserError, several, suggestion
from metaswin.core.settings import Settings
from metaswin.radiomics.engine.deprecated import FEATURES as DEPRECATED
from metaswin.radiomics.names import FEATURES, WAVELET_BANDS
from metaswin.radiomics.parameters import Parameters, read_parameters

FOLDER = "config/signatures"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# <image>_<class>_<feature>, as named by PyRadiomics.
FEATURE = re.compile(rf"(.+?)_({'|'.join(FEATURES)})_(\w+)")
Text = Annotated[str, Field(min_length=1)]


class SignatureFeature(Settings):
    """One term of a signature: a radiomics feature, scaled as published, and its coefficient."""

    name: str = Field(description="PyRadiomics name of the feature, such as original_firstorder_Energy.")
    times: dict[str, float] = Field(
        default={}, description="Other features by which it is multiplied, each with its power (-1 divides)."
    )
    coefficient: float = Field(allow_inf_nan=False, description="Coefficient of the scaled feature.")
    mean: float = Field(default=0.0, allow_inf_nan=False, description="Published mean, subtracted first.")
    sd: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="Published standard deviation, by which it is divided."
    )

    def value(self, features: Mapping[str, float]) -> float:
        """Return the contribution to the score; NaN if a feature is missing or the product is not defined."""
        product = features.get(self.name, math.nan)
        for name, power in self.times.items():
            factor = features.get(name, math.nan)
            if factor < 0 or (factor == 0 and power < 0):
                return math.nan
            product *= factor**power
        return self.coefficient * (product - self.mean) / self.sd


class Signature(Settings):
    """A published signature, which is a fixed formula of radiomics features that this workflow never fits."""

    title: Text = Field(description="Name for readers, such as `Aerts et al. 2014`.")
    citation: Text = Field(description="Publication of the signature.")
    outcome: Text = Field(description="Outcome and patients that it was trained on.")
    distant_metastasis: bool = Field(description="Whether that outcome is distant metastasis.")
    horizon_days: float | None = Field(
        default=None, gt=0, description="Horizon of that outcome in days. null: none, as for a plain 0/1 column."
    )
    checked: Text = Field(description="What was checked, in which sources, and what was not.")
    region: Literal["tumor", "primary", "nodes"] = Field(
        description="Region of the features. tumor is the primary tumour and the nodes."
    )
    extraction: dict[str, Any] = Field(
        description="Settings of the extraction: sections setting and imageType of a PyRadiomics parameter file."
    )
    features: list[SignatureFeature] = Field(min_length=1, description="Terms of the score.")
    intercept: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Intercept of the logit of the risk. null: not published, and the score is not a risk.",
    )

    @field_validator("extraction")
    @classmethod
    def _known_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "featureClass" in value:
            raise ValueError("featureClass is taken from the features of the signature; delete it")
        try:
            read_parameters(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _known_features(self) -> "Signature":
        images = _images(read_parameters(self.extraction))
        messages = [message for name in self.feature_names if (message := _unknown(name, images))]
        if messages:
            raise ValueError("; ".join(messages))
        return self

    @property
    def feature_names(self) -> list[str]:
        """Features that the score needs, each once, in the order of the file."""
        return list(dict.fromkeys(name for term in self.features for name in (term.name, *term.times)))

    @property
    def parameters(self) -> dict[str, Any]:
        """The content of a PyRadiomics parameter file that computes only the needed features."""
        classes: dict[str, list[str]] = {}
        for name in self.feature_names:
            match = FEATURE.fullmatch(name)
            assert match is not None  # the validator has checked it
            kept = classes.setdefault(match[2], [])
            kept += [match[3]] if match[3] not in kept else []
        return {**self.extraction, "featureClass": classes}

    def score(self, features: Mapping[str, float]) -> float:
        """Compute the score: intercept (0 if none is published) + sum of coefficient × (feature − mean) / sd.

        A higher score means a higher risk.

        Parameters
        ----------
        features : mapping
            Feature → value.

        Returns
        -------
        float
            NaN if a feature is missing.
        """
        return (self.intercept or 0.0) + sum(term.value(features) for term in self.features)

    def no_risk(self, horizon_days: float | None) -> str:
        """Return the reason if the score gives no risk of an endpoint; empty if its logistic function is a risk.

        Parameters
        ----------
        horizon_days : float or None
            Horizon of the endpoint. None for a plain column.
        """
        if not self.distant_metastasis:
            return f"a score, not a risk: the signature was trained on {self.outcome}"
        if self.intercept is None:
            return "a score, not a risk: the intercept of the signature is not published"
        own, wanted = self.horizon_days, horizon_days
        if (own is None) != (wanted is None) or (own and wanted and abs(own - wanted) > 0.01 * wanted):
            days = ["no horizon" if days is None else f"a horizon of {days:g} days" for days in (own, wanted)]
            return f"a score, not a risk: the signature has {days[0]}, the endpoint {days[1]}"
        return ""


def find_signatures(names: Sequence[str], shipped: str | Path) -> tuple[dict[str, Signature], list[str]]:
    """Read the signatures that a run uses.

    Parameters
    ----------
    names : sequence of str
        Setting ``signatures``: names of shipped signatures, or paths of YAML files.
    shipped : path
        Folder of the shipped signatures, ``config/signatures`` of the workflow.

    Returns
    -------
    found : dict
        Name → signature. The name of a user's file is its stem.
    messages : list of str
        All errors in the names and in the files.
    """
    found: dict[str, Signature] = {}
    messages = []
    known = {path.stem: path for path in sorted(Path(shipped).glob("*.yaml"))}
    for given in names:
        own = given.endswith((".yaml", ".yml")) or "/" in given
        path = Path(given) if own else known.get(given)
        name = Path(given).stem if own else given
        if path is None:
            messages.append(f"signatures: unknown signature {given!r}{suggestion(given, list(known))}")
        elif not path.is_file():
            messages.append(f"signatures: no file {given} (looked from {Path.cwd()}); give the path of a YAML file")
        elif not NAME.fullmatch(name):
            messages.append(
                f"signatures: {given!r}: the file name may contain only letters, digits, - . and _; rename it"
            )
        elif name in found:
            messages.append(f"signatures: {name!r} is named twice; name each signature once")
        else:
            try:
                found[name] = read_signature(path)
            except UserError as error:
                messages.append(f"signatures: {error}")
    return found, messages


def load_signatures(names: Sequence[str], shipped: str | Path) -> dict[str, Signature]:
    """Read the signatures that a run uses, as `find_signatures` does.

    Raises
    ------
    UserError
        With all errors in the names and in the files.
    """
    found, messages = find_signatures(names, shipped)
    if messages:
        raise several("The configuration has errors:", messages)
    return found


def read_signature(path: str | Path) -> Signature:
    """Read and check a signature file.

    Raises
    ------
    UserError
        With file, key, what was found and what was expected, for every error.
    """
    raw = read_config(path)
    try:
        return Signature.model_validate(raw)
    except ValidationError as error:
        raise several(f"{path} has errors:", [message_of(e, Signature) for e in error.errors()]) from None


def _images(parameters: Parameters) -> list[str]:
    """Return the names of the filtered images for these settings."""
    names = []
    for image_type, own in parameters.image_types.items():
        how = {**parameters.settings, **own}
        if image_type == "LoG":
            names += [f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D" for sigma in how["sigma"]]
        elif image_type == "Wavelet":
            bands = ["LL", "LH", "HL", "HH"] if how["force2D"] else WAVELET_BANDS
            levels = ["", *map(str, range(2, how["level"] + 1))]
            names += [f"wavelet{level}-{band}" for level in levels for band in bands]
        else:
            names.append(image_type.lower())
    return names


def _unknown(name: str, images: list[str]) -> str:
    """Return what is wrong with the name of a feature; empty if it is correct."""
    match = FEATURE.fullmatch(name)
    if match is None:
        expected = "<image>_<class>_<feature>, such as original_shape_MeshVolume"
        return f"{name!r} is not the name of a feature; expected {expected}"
    image, kind, feature = match.groups()
    known = [*FEATURES[kind], *DEPRECATED.get(kind, ())]
    if feature not in known:
        return f"{name!r}: class {kind} has no feature {feature!r}{suggestion(feature, known)}"
    if kind == "shape" and image != "original":
        return f"{name!r}: shape features belong to the mask; write original_shape_{feature}"
    if kind != "shape" and image not in images:
        return f"{name!r}: extraction.imageType does not contain the image {image!r}{suggestion(image, images)}"
    return ""
