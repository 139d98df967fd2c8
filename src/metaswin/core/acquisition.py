"""What an image's JSON may say of its acquisition: numbers, manufacturer, model and kernel; no other text."""

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
    """Acquisition facts of a CT slice: manufacturer, model, kernel, kvp (kV), slice_thickness (mm); None if absent."""
    facts: dict[str, str | float | None] = {
        key: plain(header.get(name), KERNEL if key == "kernel" else COMPANY) for key, name in TEXTS.items()
    }
    return facts | {key: number(header, name) for key, name in NUMBERS.items()}


def number(header: "Dataset", name: str) -> float | None:
    """A number of a header; None when it is absent or no number."""
    try:
        return round(float(header.get(name)), 4)
    except (TypeError, ValueError):
        return None


def plain(value: Any, pattern: re.Pattern[str]) -> str | None:
    """Text fit for a public file: itself when it looks like a product name, else a hash; None when empty.

    Several values (Siemens' kernels) are joined by a slash. Text that does not match `pattern` may hold
    anything, so only ``h-`` and 10 hex digits of its SHA-256 are kept: equal texts stay equal.
    """
    if value is None:
        return None
    parts = [value] if isinstance(value, str) else list(value)
    text = "/".join(str(part).strip() for part in parts).strip()
    if not text:
        return None
    return text if pattern.fullmatch(text) else f"h-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
