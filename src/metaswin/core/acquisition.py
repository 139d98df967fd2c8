"""Read the acquisition facts that the JSON file of an image may contain.

These are two numbers (tube voltage, slice thickness), the manufacturer, the model and the kernel. No other text of a
DICOM header is copied.
"""

import hashlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

KERNEL = re.compile(r"[A-Za-z0-9 ._+/-]{1,32}")
COMPANY = re.compile(r"[A-Za-z0-9 ,.&()_+/-]{1,64}")
TEXTS = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName", "kernel": "ConvolutionKernel"}
NUMBERS = {"kvp": "KVP", "slice_thickness": "SliceThickness"}
UNKNOWN = dict.fromkeys([*TEXTS, *NUMBERS])


def acquisition(header: "Dataset") -> dict[str, str | float | None]:
    """Return the acquisition facts of a CT slice; a fact is None if the header does not contain it.

    The facts are manufacturer, model, kernel, kvp (kV) and slice_thickness (mm).
    """
    facts: dict[str, str | float | None] = {
        key: plain(header.get(name), KERNEL if key == "kernel" else COMPANY) for key, name in TEXTS.items()
    }
    return facts | {key: number(header, name) for key, name in NUMBERS.items()}


def number(header: "Dataset", name: str) -> float | None:
    """Return a number of a header, rounded to 4 decimals; None when it is absent or not a number."""
    try:
        return round(float(header.get(name)), 4)
    except (TypeError, ValueError):
        return None


def plain(value: Any, pattern: re.Pattern[str]) -> str | None:
    """Return header text that may be written to a public file; None when it is empty.

    Text that looks like a product name is kept. Several values (Siemens' kernels) are joined by a slash. Text that
    does not match `pattern` may contain anything, so it is replaced by ``h-`` and the first 10 hex digits of its
    SHA-256. Equal texts get equal hashes.
    """
    if value is None:
        return None
    parts = [value] if isinstance(value, str) else list(value)
    text = "/".join(str(part).strip() for part in parts).strip()
    if not text:
        return None
    return text if pattern.fullmatch(text) else f"h-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
