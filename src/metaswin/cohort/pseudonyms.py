"""Keyed pseudonyms in place of study ids: HMAC-SHA256 (RFC 2104) of the id, cut to 48 bits.

With a plain hash, anyone could try ids until one matches; the key prevents this. Key and map stay in the private zone.
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
    """Study ids and what stands for them.

    Parameters
    ----------
    key : str or None
        Secret; None leaves every id as it is.
    path : path
        The map of ids: CSV ``patient, id``.

    Attributes
    ----------
    names : dict of str to str
        Pseudonym → id, of the ids that were asked for; empty without a key.
    """

    def __init__(self, key: str | None = None, path: str | Path = MAP) -> None:
        self._key = None if key is None else key.encode()
        self._path = path
        self._known: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def of(self, identifier: str) -> str:
        """What stands for a study id; an empty one stays empty.

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
                raise UserError("two patients have the same pseudonym; take another data.pseudonym_key")
            self._known[identifier] = pseudonym
        return self._known[identifier]

    def save(self) -> dict[str, str]:
        """Add the names to the map and give the whole of it; empty without a key."""
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
    """Pseudonym → id of a map that `Pseudonyms.save` wrote; empty where there is none."""
    if not Path(path).is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        return {row["patient"]: row["id"] for row in csv.DictReader(file)}


def pseudonym_places(data: DataSettings, private: str) -> dict[str, Any] | None:
    """Where key and map lie, and whether the key may be made; None where ids stay as they are."""
    if not data.pseudonyms:
        return None
    key = data.pseudonym_key or f"{private}/pseudonyms.key"
    return {"key": key, "make": data.pseudonym_key is None, "map": f"{private}/{MAP}"}


def read_pseudonyms(places: Mapping[str, Any] | None) -> Pseudonyms:
    """Pseudonyms of `pseudonym_places`; ids as they are with None.

    Raises
    ------
    UserError
        If there is no key, or a short one.
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
        raise UserError(f"data.pseudonym_key: {path} holds {len(key)} characters; a key has {LEAST_KEY} or more")
    return Pseudonyms(key, places["map"])


def _make_key(path: Path) -> None:
    """Write a random key that only the user can read; keep an existing key, also one that appeared just now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    before = os.umask(0o077)  # no other user may ever read it
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
