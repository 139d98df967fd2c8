"""Replace study ids by keyed pseudonyms: HMAC-SHA256 (RFC 2104) of the id, truncated to 48 bits.

With a plain hash, a person could try ids until one matches. The key prevents this. Key and map stay in the private
folder.
"""

import csv
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaswin.config.cohort import DataSettings
from metaswin.core.errors import UserError
from metaswin.core.files import write_text

MAP = "pseudonyms.csv"
COLUMNS = ["patient", "id"]
LEAST_KEY = 32  # characters


class Pseudonyms:
    """Map study ids to pseudonyms.

    Parameters
    ----------
    key : str or None
        Secret. Without a key, ids are not changed.
    path : path
        Map of ids, as CSV ``patient, id``.

    Attributes
    ----------
    names : dict of str to str
        Pseudonym → id, for all ids that were mapped. Empty without a key.
    """

    def __init__(self, key: str | None = None, path: str | Path = MAP) -> None:
        self._key = None if key is None else key.encode()
        self._path = path
        self._known: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def of(self, identifier: str) -> str:
        """Return the pseudonym of a study id; an empty id stays empty.

        Raises
        ------
        UserError
            If two ids have the same pseudonym (one pair in 10⁵ cohorts of 10⁴ patients).
        """
        if self._key is None or not identifier:
            return identifier
        if identifier not in self._known:
            digest = hmac.new(self._key, identifier.encode(), hashlib.sha256).hexdigest()
            pseudonym = f"P-{digest[:12]}"
            if self.names.setdefault(pseudonym, identifier) != identifier:
                raise UserError("two patients have the same pseudonym; use another data.pseudonym_key")
            self._known[identifier] = pseudonym
        return self._known[identifier]

    def save(self) -> dict[str, str]:
        """Add the names to the map and return the complete map; empty without a key."""
        if self._key is None:
            return {}
        names = {**read_map(self._path), **self.names}
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(sorted(names.items()))
        write_text(self._path, text.getvalue())
        return names


def read_map(path: str | Path) -> dict[str, str]:
    """Read the map pseudonym → id that `Pseudonyms.save` wrote; empty if there is none."""
    if not Path(path).is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        return {row["patient"]: row["id"] for row in csv.DictReader(file)}


def pseudonym_places(data: DataSettings, private: str) -> dict[str, Any] | None:
    """Return the paths of key and map, and whether the key may be generated; None without pseudonyms."""
    if not data.pseudonyms:
        return None
    key = data.pseudonym_key or f"{private}/pseudonyms.key"
    return {"key": key, "make": data.pseudonym_key is None, "map": f"{private}/{MAP}"}


def read_pseudonyms(places: Mapping[str, Any] | None) -> Pseudonyms:
    """Read the pseudonyms of `pseudonym_places`; with None, ids are not changed.

    Raises
    ------
    UserError
        If there is no key, or if the key is too short.
    """
    if places is None:
        return Pseudonyms()
    path = Path(places["key"])
    if places["make"] and not path.exists():
        _make_key(path)
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"data.pseudonym_key: cannot read {path}; name a text file with a long secret") from None
    if len(key) < LEAST_KEY:
        raise UserError(
            f"data.pseudonym_key: {path} contains {len(key)} characters, but a key needs {LEAST_KEY} or more; "
            "use a longer key"
        )
    return Pseudonyms(key, places["map"])


def _make_key(path: Path) -> None:
    """Write a random key that only the user can read; an existing key is kept, even if it was written just before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    before = os.umask(0o077)  # other users can never read the key
    try:
        write_text(temporary, secrets.token_hex(32) + "\n")
    finally:
        os.umask(before)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
