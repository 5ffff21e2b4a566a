"""Global ids, as in Relay's Global Object Identification: base64url of a kind and a key. Opaque to clients."""

from collections.abc import Callable
from enum import Enum
from uuid import UUID

from tiktok_accounts_gql import base64url
from tiktok_accounts_gql.errors import BadUserInput, InvalidInput


class Kind(bytes, Enum):
    """What an id is of: the first byte within it."""

    ACCOUNT = b"A"
    AUDIT_EVENT = b"E"
    SYNC_JOB = b"J"
    SYNC_RESULT = b"R"
    VIEWER = b"V"


def encode(kind: Kind, key: UUID | str) -> str:
    return base64url.encode(kind + (key.bytes if isinstance(key, UUID) else key.encode()))


def decode(global_id: str) -> tuple[Kind, UUID | str]:
    """Raises BadUserInput."""
    try:
        raw = base64url.decode(global_id)
        kind = Kind(raw[:1])
        return kind, raw[1:].decode() if kind is Kind.VIEWER else UUID(bytes=raw[1:])
    except ValueError:
        raise BadUserInput("This is not an id of this API.") from None


def account_key(global_id: str) -> UUID | None:
    """None for an id of something else: no account has it. Raises BadUserInput."""
    kind, key = decode(global_id)
    return key if kind is Kind.ACCOUNT and isinstance(key, UUID) else None


def job_key(global_id: str) -> UUID | None:
    """As `account_key`, for sync jobs."""
    kind, key = decode(global_id)
    return key if kind is Kind.SYNC_JOB and isinstance(key, UUID) else None


def input_account_key(global_id: str, *field: str) -> UUID:
    """For mutations, whose mistakes name the input. Raises InvalidInput."""
    return _of_input(account_key, global_id, field)


def input_job_key(global_id: str, *field: str) -> UUID:
    """As `input_account_key`, for sync jobs."""
    return _of_input(job_key, global_id, field)


def _of_input(key_of: Callable[[str], UUID | None], global_id: str, field: tuple[str, ...]) -> UUID:
    try:
        key = key_of(global_id)
    except BadUserInput as error:
        raise InvalidInput(error.message, field=field) from None
    return key or NOBODYS


def avatar_link(public_url: str, account: UUID, content_hash: str | None) -> str | None:
    """Where `http/avatars.py` serves it."""
    return None if content_hash is None else f"{public_url}/avatars/{encode(Kind.ACCOUNT, account)}/{content_hash}"


NOBODYS = UUID(int=0)  # the id of something else leads to no account, as an unknown one does
