"""Pseudonyms: HMAC-SHA256 of what the hospital calls something, with a key that no run folder holds.

Stateless: any worker, any day, the same key gives the same pseudonym; without the key none can be undone
by trying all patient numbers (SAFETY 1.5, rules 4 and 5).
"""

import hmac
import os
from hashlib import sha256
from pathlib import Path

from p2med.errors import P2MedError, RecipeError
from p2med.imaging.identity import canonical_id

KEY_BYTES = 32
DEFAULT_SITE = "hospital"
"""As the source `hospital` of a recipe is called: files and notes that come alone are of its patients."""
# Public sets are public already: everyone gets the same pseudonyms, and so the same bytes and split.
PUBLIC_KEY = sha256(b"p2med: pseudonyms of public data sets").digest()


def new_key(path: Path) -> None:
    """Write a fresh random key, readable by its owner alone.

    Raises:
      P2MedError: the file exists; a key that was in use must never be replaced.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise P2MedError(f"{path} exists; a key in use is never overwritten, choose another name") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")


def read_key(path: Path) -> bytes:
    """A key of 32 bytes, raw or as 64 hexadecimal digits.

    Raises:
      RecipeError: the file is missing or holds something else; the message does not quote it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"deid.key_file {path}: {error.strerror}; make one with `p2med key {path}`"
        ) from None
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise RecipeError(
            f"deid.key_file {path} is not a key of {KEY_BYTES} bytes; make one with `p2med key FILE`"
        )
    return key


class Pseudonyms:
    """Every pseudonym of one key."""

    def __init__(self, key: bytes):
        self._key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pseudonyms) and hmac.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{canonical_id(value)}".encode(), sha256).digest()

    def name(self, kind: str, value: str) -> str:
        """A short name, 80 bits: no collision is expected below 10^11 of them."""
        return f"{kind[0]}{self.digest(kind, value)[:10].hex()}"

    def patient(self, site: str, number: str) -> str:
        """The patient key: two sites may give two children one number."""
        return self.name("patient", f"{site}/{number}")

    def uid(self, value: str) -> str:
        """A DICOM UID under 2.25 (PS3.5 B.2): the first 128 bits of the HMAC."""
        return f"2.25.{int.from_bytes(self.digest('uid', value)[:16], 'big')}"

    def offset_days(self, site: str, number: str, most: int) -> int:
        """This patient's date shift, 1 to `most` days back, the same in images, tables and texts."""
        number = int.from_bytes(self.digest("dates", f"{site}\0{number}")[:8], "big")
        return -(1 + number % most)
