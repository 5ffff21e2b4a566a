"""The tables. Constraints and indexes stand here and in the migrations; a test compares the two.

Every index of accounts begins with the viewer and leaves out disconnected accounts. A nullable sort key is read in two
ranges (see `keyset.py`), so one index serves both directions with nulls last.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Enum,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered, byte_ordered_text

VIEWER_LENGTH = 255
SORT_KEY_LENGTH = 200


class AccountStatus(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    EXPIRED = "EXPIRED"


class AuditAction(StrEnum):
    """What happened."""

    ACCOUNTS_LISTED = "ACCOUNTS_LISTED"
    ACCOUNT_READ = "ACCOUNT_READ"
    SUMMARY_READ = "SUMMARY_READ"
    AUDIT_EVENTS_READ = "AUDIT_EVENTS_READ"
    AUTHORIZATION_REMOVED = "AUTHORIZATION_REMOVED"
    ACCOUNT_CONNECTED = "ACCOUNT_CONNECTED"
    ACCOUNT_RECONNECTED = "ACCOUNT_RECONNECTED"
    ACCOUNT_DISCONNECTED = "ACCOUNT_DISCONNECTED"
    ACCOUNT_SYNCED = "ACCOUNT_SYNCED"
    ACCOUNT_SYNC_FAILED = "ACCOUNT_SYNC_FAILED"
    TOKEN_REFRESHED = "TOKEN_REFRESHED"  # noqa: S105
    TOKEN_REFRESH_FAILED = "TOKEN_REFRESH_FAILED"  # noqa: S105


READ_ACTIONS = frozenset(
    {
        AuditAction.ACCOUNTS_LISTED,
        AuditAction.ACCOUNT_READ,
        AuditAction.SUMMARY_READ,
        AuditAction.AUDIT_EVENTS_READ,
    }
)


class AuditActor(StrEnum):
    """Who did something."""

    USER = "USER"
    SYSTEM = "SYSTEM"
    TIKTOK = "TIKTOK"


def _word(values: type[StrEnum], *, closed: bool) -> Enum:
    """One of the values, as text. A closed list is held by a constraint; an open one grows without a migration."""
    return Enum(values, native_enum=False, length=40, create_constraint=closed, name=f"{values.__name__.lower()}_known")


def _of_account() -> ForeignKeyConstraint:
    """What belongs to an account belongs to its viewer too: a row cannot hang on somebody else's account."""
    return ForeignKeyConstraint(["account_id", "viewer_id"], ["accounts.id", "accounts.viewer_id"])


def _connected(name: str, *columns: str, unique: bool = False) -> Index:
    where = text("disconnected_at IS NULL")
    return Index(name, *map(text, columns), unique=unique, postgresql_where=where, sqlite_where=where)


class Account(SQLModel, table=True):
    """A TikTok account that a viewer has connected."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("id", "viewer_id", name="accounts_id_with_viewer"),
        Index("accounts_open_id_once_per_viewer", "viewer_id", "open_id", unique=True),
        _connected("accounts_open_id_connected_once", "open_id", unique=True),
        _connected("accounts_by_created_at", "viewer_id", "created_at DESC", "id DESC"),
        _connected("accounts_by_status", "viewer_id", "status", "created_at DESC", "id DESC"),
        _connected("accounts_by_display_name", "viewer_id", "display_name_key", "id"),
        _connected("accounts_by_username", "viewer_id", "username_key", "id"),
        _connected("accounts_by_followers", "viewer_id", "follower_count", "id"),
        _connected("accounts_by_last_sync", "viewer_id", "last_synced_at", "id"),
        Index(
            "accounts_search",
            text("viewer_id"),
            text("search_text gin_trgm_ops"),
            postgresql_using="gin",
            postgresql_where=text("disconnected_at IS NULL"),
        ).ddl_if(dialect="postgresql"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    open_id: str = Field(sa_type=byte_ordered(255))
    union_id: str | None = Field(default=None, sa_type=Text)
    username: str | None = Field(default=None, sa_type=Text)
    username_key: str | None = Field(default=None, sa_type=byte_ordered(SORT_KEY_LENGTH))
    display_name: str = Field(sa_type=Text)
    display_name_key: str = Field(sa_type=byte_ordered(SORT_KEY_LENGTH))
    search_text: str = Field(sa_type=byte_ordered_text())
    avatar_url: str | None = Field(default=None, sa_type=Text)
    bio_description: str | None = Field(default=None, sa_type=Text)
    profile_url: str | None = Field(default=None, sa_type=Text)
    is_verified: bool | None = None
    status: AccountStatus = Field(default=AccountStatus.ACTIVE, sa_type=_word(AccountStatus, closed=True))
    follower_count: int | None = Field(default=None, sa_type=BigInteger)
    following_count: int | None = Field(default=None, sa_type=BigInteger)
    likes_count: int | None = Field(default=None, sa_type=BigInteger)
    video_count: int | None = Field(default=None, sa_type=BigInteger)
    granted_scopes: list[str] = Field(sa_type=JSON)
    last_synced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    token_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reauthorize_by: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    connected_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    disconnected_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TokenPair(SQLModel, table=True):
    """An account's sealed tokens: a table of its own, so that no query for accounts can load one."""

    __tablename__ = "token_pairs"
    __table_args__ = (_of_account(),)

    account_id: UUID = Field(primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    access_token: bytes = Field(sa_type=LargeBinary, repr=False)
    refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class OwedRevocation(SQLModel, table=True):
    """An authorization that was given up here and still has to be revoked at TikTok; deleted once it is."""

    __tablename__ = "owed_revocations"
    __table_args__ = (_of_account(), Index("owed_revocations_due", "next_attempt_at"))

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    account_id: UUID
    access_token: bytes = Field(sa_type=LargeBinary, repr=False)
    access_token_expires_at: datetime = Field(sa_type=UtcDateTime)
    refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    next_attempt_at: datetime = Field(sa_type=UtcDateTime)
    given_up_at: datetime = Field(sa_type=UtcDateTime)


class Snapshot(SQLModel, table=True):
    """The counters of one sync. `hour` counts UTC hours since 1970, so that hours and days group alike everywhere."""

    __tablename__ = "snapshots"
    __table_args__ = (
        _of_account(),
        Index("snapshots_by_account", "viewer_id", "account_id", "recorded_at", unique=True),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    account_id: UUID
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    hour: int
    follower_count: int | None = Field(default=None, sa_type=BigInteger)
    following_count: int | None = Field(default=None, sa_type=BigInteger)
    likes_count: int | None = Field(default=None, sa_type=BigInteger)
    video_count: int | None = Field(default=None, sa_type=BigInteger)


class AuditEvent(SQLModel, table=True):
    """One thing that happened. Triggers refuse to change or delete it."""

    __tablename__ = "audit_events"
    __table_args__ = (
        _of_account(),
        Index("audit_events_by_time", "viewer_id", text("created_at DESC"), text("id DESC")),
        Index(
            "audit_events_of_changes",
            "viewer_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("is_change"),
            sqlite_where=text("is_change"),
        ),
        Index("audit_events_by_account", "viewer_id", "account_id", text("created_at DESC"), text("id DESC")),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    action: AuditAction = Field(sa_type=_word(AuditAction, closed=False))
    is_change: bool
    created_at: datetime = Field(sa_type=UtcDateTime)
    account_id: UUID | None = None
    actor: AuditActor = Field(sa_type=_word(AuditActor, closed=True))
    request_id: str | None = Field(default=None, sa_type=Text)
    ip_address: str | None = Field(default=None, sa_type=Text)
    details: list[dict[str, Any]] = Field(sa_type=JSON)


class IdempotencyKey(SQLModel, table=True):
    """What a mutation answered to a key: the same call again gets the same answer for 24 hours."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_by_age", "viewer_id", "created_at"),)

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    key: str = Field(sa_column=Column(byte_ordered(255), primary_key=True))
    operation: str = Field(sa_type=Text)
    input_hash: bytes = Field(sa_type=LargeBinary)
    answer: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
