"""Global ids, as in Relay's Global Object Identification: base64url of a kind and a key. Opaque to clients."""

from enum import Enum
from hashlib import blake2b
from typing import Any
from uuid import UUID

from tiktok_accounts_gql import base64url


class NodeKind(bytes, Enum):
    """The type of the object: the first byte of an id."""

    ACCOUNT = b"A"
    AUDIT_EVENT = b"E"
    SYNC_JOB = b"J"
    SYNC_RESULT = b"R"
    VIEWER = b"V"


def encode(kind: NodeKind, key: UUID | str) -> str:
    """Return the global id. The key of a viewer is a text, that of every other kind a UUID."""
    return base64url.encode(kind + (key.bytes if isinstance(key, UUID) else key.encode()))


def decode(global_id: str) -> tuple[NodeKind, Any] | None:
    """Return kind and key, as they were encoded; None for a text that is no id of this API."""
    try:
        raw = base64url.decode(global_id)
        kind = NodeKind(raw[:1])
        return kind, raw[1:].decode() if kind is NodeKind.VIEWER else UUID(bytes=raw[1:])
    except ValueError:
        return None


def account_key(global_id: str) -> UUID:
    """Return the key of an account's id; for any other text a key that no account has."""
    return _key_of_kind(NodeKind.ACCOUNT, global_id)


def job_key(global_id: str) -> UUID:
    """Return the key of a sync job's id; for any other text a key that no job has."""
    return _key_of_kind(NodeKind.SYNC_JOB, global_id)


def _key_of_kind(kind: NodeKind, global_id: str) -> UUID:
    """Return the key; for a text that is no id of this kind one of version 5, where all stored keys have version 7.

    It is a different one for each text, so that two invalid ids are two results of a sync job.
    """
    decoded = decode(global_id)
    if decoded is not None and decoded[0] is kind:
        key: UUID = decoded[1]
        return key
    digest = blake2b(global_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return UUID(bytes=digest, version=5)


def avatar_link(public_url: str, account_id: UUID, content_hash: str | None) -> str | None:
    """Return the URL that `web/avatars.py` serves; None without a picture."""
    return (
        None if content_hash is None else f"{public_url}/avatars/{encode(NodeKind.ACCOUNT, account_id)}/{content_hash}"
    )
