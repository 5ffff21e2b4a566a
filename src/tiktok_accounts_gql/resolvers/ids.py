"""Global ids, as in Relay's Global Object Identification: base64url of a kind and a key. Opaque to clients."""

from enum import Enum
from hashlib import blake2b
from uuid import UUID

from tiktok_accounts_gql import base64url


class Kind(bytes, Enum):
    """What an id is of: the first byte within it."""

    ACCOUNT = b"A"
    AUDIT_EVENT = b"E"
    SYNC_JOB = b"J"
    SYNC_RESULT = b"R"
    VIEWER = b"V"


def encode(kind: Kind, key: UUID | str) -> str:
    return base64url.encode(kind + (key.bytes if isinstance(key, UUID) else key.encode()))


def decode(global_id: str) -> tuple[Kind, UUID | str] | None:
    """None for a text that is no id of this API: nothing has it."""
    try:
        raw = base64url.decode(global_id)
        kind = Kind(raw[:1])
        return kind, raw[1:].decode() if kind is Kind.VIEWER else UUID(bytes=raw[1:])
    except ValueError:
        return None


def account_key(global_id: str) -> UUID:
    """The account's key; one that no account has if the text is no account's id."""
    return _key_of(Kind.ACCOUNT, global_id)


def job_key(global_id: str) -> UUID:
    """As `account_key`, for sync jobs."""
    return _key_of(Kind.SYNC_JOB, global_id)


def _key_of(kind: Kind, global_id: str) -> UUID:
    match decode(global_id):
        case (found, UUID() as key) if found is kind:
            return key
    return _unknown_key(global_id)


def _unknown_key(text: str) -> UUID:
    """Another one for each text, so that two are two results of a job. Keys of ours have version 7, this has 5."""
    return UUID(bytes=blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), version=5)


def avatar_link(public_url: str, account: UUID, content_hash: str | None) -> str | None:
    """Where `web/avatars.py` serves it."""
    return None if content_hash is None else f"{public_url}/avatars/{encode(Kind.ACCOUNT, account)}/{content_hash}"
