"""Sealing of secrets that are needed again.

A sealed value is `version (1 byte) · key id (4) · nonce (12) · AES-256-GCM ciphertext and tag` (NIST SP 800-38D). Its
associated data names table, column, row and key, so a value moved to another place does not open. The key id is the
beginning of the key's SHA-256: it tells which of several keys sealed a value and nothing about the key.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _ID_BYTES + _NONCE_BYTES


class SealBroken(Exception):
    """A sealed value does not open: another place, another key, or changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value is stored."""

    table: str
    column: str
    row: UUID

    def associated_data(self, key_id: bytes) -> bytes:
        return b"\0".join((self.table.encode(), self.column.encode(), self.row.bytes, key_id))


def uncounted(place: Place) -> None:
    del place


class Sealer:
    """Seals with the first key and opens with any."""

    def __init__(self, keys: Sequence[bytes], *, count: Callable[[Place], None] = uncounted) -> None:
        """`count` is called for each value that does not open."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"At least one key of {KEY_BYTES} bytes is needed.")
        self._ciphers = {hashlib.sha256(key).digest()[:_ID_BYTES]: AESGCM(key) for key in keys}
        self._first_id = next(iter(self._ciphers))
        self._count = count

    @property
    def key_id(self) -> bytes:
        """Of the key that seals."""
        return self._first_id

    @property
    def key_ids(self) -> frozenset[bytes]:
        """Of all keys."""
        return frozenset(self._ciphers)

    @staticmethod
    def key_id_of(sealed: bytes) -> bytes:
        """Of the key that sealed a value."""
        return sealed[1 : 1 + _ID_BYTES]

    def seal(self, secret: str, place: Place) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        data = place.associated_data(self._first_id)
        return _VERSION + self._first_id + nonce + self._ciphers[self._first_id].encrypt(nonce, secret.encode(), data)

    def open(self, sealed: bytes, place: Place) -> str:
        """Raises SealBroken."""
        try:
            return self._opened(sealed, place)
        except SealBroken:
            self._count(place)
            raise

    def _opened(self, sealed: bytes, place: Place) -> str:
        key_id, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD_BYTES]
        cipher = self._ciphers.get(key_id)
        if sealed[:1] != _VERSION or cipher is None:
            raise SealBroken("No key of this server sealed this value.")
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], place.associated_data(key_id)).decode()
        except (InvalidTag, ValueError) as error:  # ValueError: of a nonce that is cut off
            raise SealBroken("The sealed value was changed, or belongs somewhere else.") from error
