"""Sealing: authenticated encryption of secrets, bound to the database column that stores them.

A sealed value is `version (1 byte) · key id (4) · nonce (12) · AES-256-GCM ciphertext and tag` (NIST SP 800-38D). Its
associated data is the table, column, row and key id, so a value that is copied elsewhere does not open. The key id is the
beginning of the key's SHA-256: it identifies one of several keys, and reveals nothing about it.
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
    """Raised for a value that does not open: it was moved or modified, or the key is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretLocation:
    """The column and the row that store a sealed value."""

    table: str
    column: str
    row: UUID

    def associated_data(self, key_id: bytes) -> bytes:
        return b"\0".join((self.table.encode(), self.column.encode(), self.row.bytes, key_id))


def ignore_failure(location: SecretLocation) -> None:
    del location


class Sealer:
    """Seals with the first key, and opens with any."""

    def __init__(self, keys: Sequence[bytes], *, on_failure: Callable[[SecretLocation], None] = ignore_failure) -> None:
        """`on_failure` is called for each value that does not open. Raises ValueError for keys of a wrong length."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"At least one key of {KEY_BYTES} bytes is needed.")
        self._ciphers = {hashlib.sha256(key).digest()[:_ID_BYTES]: AESGCM(key) for key in keys}
        self._sealing_key_id = next(iter(self._ciphers))
        self._on_failure = on_failure

    @property
    def key_id(self) -> bytes:
        """The id of the key that seals."""
        return self._sealing_key_id

    @property
    def key_ids(self) -> frozenset[bytes]:
        """The ids of all keys."""
        return frozenset(self._ciphers)

    @staticmethod
    def key_id_of(sealed: bytes) -> bytes:
        """Return the id of the key that sealed a value."""
        return sealed[1 : 1 + _ID_BYTES]

    def seal(self, secret: str, location: SecretLocation) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        data = location.associated_data(self._sealing_key_id)
        return (
            _VERSION
            + self._sealing_key_id
            + nonce
            + self._ciphers[self._sealing_key_id].encrypt(nonce, secret.encode(), data)
        )

    def open(self, sealed: bytes, location: SecretLocation) -> str:
        """Return the secret. Raises SealBroken."""
        try:
            return self._decrypt(sealed, location)
        except SealBroken:
            self._on_failure(location)
            raise

    def _decrypt(self, sealed: bytes, location: SecretLocation) -> str:
        key_id, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD_BYTES]
        cipher = self._ciphers.get(key_id)
        if sealed[:1] != _VERSION or cipher is None:
            raise SealBroken("No key of this server sealed this value.")
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], location.associated_data(key_id)).decode()
        except (InvalidTag, ValueError) as error:  # a ValueError if the nonce is truncated
            raise SealBroken("The sealed value was changed, or belongs somewhere else.") from error
