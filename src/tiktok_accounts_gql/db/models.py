"""The tables. Constraints and indexes stand here and in the migrations; a test compares the two.

Every index of accounts leaves out disconnected accounts and, but for the schedule's, begins with the viewer. A nullable
sort key is read in two ranges (see `keyset.py`), so one index serves both directions with nulls last.
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


class HealthState(StrEnum):
    """How well an account works."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    BROKEN = "BROKEN"


class HealthReason(StrEnum):
    """Why an account is not healthy."""

    RATE_LIMITED = "RATE_LIMITED"
    TIKTOK_UNAVAILABLE = "TIKTOK_UNAVAILABLE"
    SCOPE_MISSING = "SCOPE_MISSING"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    USER_REVOKED = "USER_REVOKED"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    APP_MISCONFIGURED = "APP_MISCONFIGURED"


class HealthAction(StrEnum):
    """What has to be done."""

    NONE = "NONE"
    WAIT = "WAIT"
    RECONNECT = "RECONNECT"
    GRANT_SCOPES = "GRANT_SCOPES"
    CONTACT_OPERATOR = "CONTACT_OPERATOR"


class JobState(StrEnum):
    """How far a sync job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_FAILED = "PARTIALLY_FAILED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class SyncOutcome(StrEnum):
    """How far one account of a sync job is."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class AuditAction(StrEnum):
    """What happened."""

    ACCOUNTS_LISTED = "ACCOUNTS_LISTED"
    ACCOUNT_READ = "ACCOUNT_READ"
    SUMMARY_READ = "SUMMARY_READ"
    AUDIT_EVENTS_READ = "AUDIT_EVENTS_READ"
    AUTHORIZATION_STARTED = "AUTHORIZATION_STARTED"
    AUTHORIZATION_FAILED = "AUTHORIZATION_FAILED"
    AUTHORIZATION_REMOVED = "AUTHORIZATION_REMOVED"
    ACCOUNT_CONNECTED = "ACCOUNT_CONNECTED"
    ACCOUNT_RECONNECTED = "ACCOUNT_RECONNECTED"
    ACCOUNT_DISCONNECTED = "ACCOUNT_DISCONNECTED"
    ACCOUNT_SYNCED = "ACCOUNT_SYNCED"
    ACCOUNT_SYNC_FAILED = "ACCOUNT_SYNC_FAILED"
    SYNC_JOB_STARTED = "SYNC_JOB_STARTED"
    SYNC_JOB_FINISHED = "SYNC_JOB_FINISHED"
    SYNC_JOB_CANCELED = "SYNC_JOB_CANCELED"
    SYNC_JOBS_READ = "SYNC_JOBS_READ"
    TOKEN_REFRESHED = "TOKEN_REFRESHED"  # noqa: S105
    TOKEN_REFRESH_FAILED = "TOKEN_REFRESH_FAILED"  # noqa: S105


READ_ACTIONS = frozenset(
    {
        AuditAction.ACCOUNTS_LISTED,
        AuditAction.ACCOUNT_READ,
        AuditAction.SUMMARY_READ,
        AuditAction.AUDIT_EVENTS_READ,
        AuditAction.SYNC_JOBS_READ,
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


def _ordered(name: str, *columns: str) -> tuple[Index, Index]:
    """SQLite has no trigrams: there, each index of an order has what a search looks at, so that no row is read in vain."""
    kinds = {"postgresql": columns, "sqlite": (*columns, "search_text", "disconnected_at")}
    on_postgresql, on_sqlite = (_connected(name, *kinds[kind]).ddl_if(dialect=kind) for kind in kinds)
    return on_postgresql, on_sqlite


class Account(SQLModel, table=True):
    """A TikTok account that a viewer has connected."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("id", "viewer_id", name="accounts_id_with_viewer"),
        Index("accounts_open_id_once_per_viewer", "viewer_id", "open_id", unique=True),
        _connected("accounts_open_id_connected_once", "open_id", unique=True),
        *_ordered("accounts_by_created_at", "viewer_id", "created_at DESC", "id DESC"),
        _connected("accounts_by_status", "viewer_id", "status", "created_at DESC", "id DESC"),
        _connected("accounts_by_health", "viewer_id", "health_state", "created_at DESC", "id DESC"),
        _connected("accounts_by_action", "viewer_id", "health_action", "created_at DESC", "id DESC"),
        *_ordered("accounts_by_display_name", "viewer_id", "display_name_key", "id"),
        *_ordered("accounts_by_username", "viewer_id", "username_key", "id"),
        *_ordered("accounts_by_followers", "viewer_id", "follower_count", "id"),
        *_ordered("accounts_by_last_sync", "viewer_id", "last_synced_at", "id"),
        _connected("accounts_of_the_schedule", "status", "last_synced_at", "connected_at"),
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
    avatar_hash: str | None = Field(default=None, sa_type=Text)
    bio_description: str | None = Field(default=None, sa_type=Text)
    profile_url: str | None = Field(default=None, sa_type=Text)
    is_verified: bool | None = None
    status: AccountStatus = Field(default=AccountStatus.ACTIVE, sa_type=_word(AccountStatus, closed=True))
    health_state: HealthState = Field(default=HealthState.HEALTHY, sa_type=_word(HealthState, closed=True))
    health_reason: HealthReason | None = Field(default=None, sa_type=_word(HealthReason, closed=False))
    health_action: HealthAction = Field(default=HealthAction.NONE, sa_type=_word(HealthAction, closed=False))
    health_since: datetime = Field(sa_type=UtcDateTime)
    next_retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    consecutive_failures: int = 0
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


class AccountTotals(SQLModel, table=True):
    """Totals of a viewer's connected accounts, kept by triggers on their table: the sum of all of the viewer's parts."""

    __tablename__ = "account_totals"

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    part: UUID = Field(primary_key=True)
    active_accounts: int = Field(sa_type=BigInteger)
    inactive_accounts: int = Field(sa_type=BigInteger)
    expired_accounts: int = Field(sa_type=BigInteger)
    accounts_needing_action: int = Field(sa_type=BigInteger)
    total_followers: int = Field(sa_type=BigInteger)
    total_likes: int = Field(sa_type=BigInteger)
    total_videos: int = Field(sa_type=BigInteger)


class AccountChanges(SQLModel, table=True):
    """How often a viewer's accounts have changed: counted by triggers, on SQLite alone."""

    __tablename__ = "account_changes"

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    number: int = Field(sa_type=BigInteger)


class TokenPair(SQLModel, table=True):
    """An account's sealed tokens: a table of its own, so that no query for accounts can load one.

    `grant_id` changes with every grant. Who renews it holds the lease; `attempted_at` stays until the outcome is known.
    Who reads the account with it holds `reading_id`, so that nobody reads it twice at once.
    """

    __tablename__ = "token_pairs"
    __table_args__ = (_of_account(),)

    account_id: UUID = Field(primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    access_token: bytes = Field(sa_type=LargeBinary, repr=False)
    refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    previous_refresh_token: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    grant_id: UUID = Field(default_factory=uuid7)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    lease_id: UUID | None = None
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reading_id: UUID | None = None
    reading_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


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


class ConnectionAttempt(SQLModel, table=True):
    """From the start of an authorization to its callback; `state` is stored hashed and works once.

    `fingerprint` is the hash of what the callback brought, so that the same call again is known as such.
    """

    __tablename__ = "connection_attempts"
    __table_args__ = (
        _of_account(),
        Index("connection_attempts_by_state", "state_hash", unique=True),
        Index("connection_attempts_by_age", "viewer_id", "expires_at"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    state_hash: bytes = Field(sa_type=LargeBinary)
    account_id: UUID | None = None
    return_to: str | None = Field(default=None, sa_type=Text)
    code_verifier: bytes | None = Field(default=None, sa_type=LargeBinary, repr=False)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    error: str | None = Field(default=None, sa_type=Text)
    connected_account_id: UUID | None = None
    reconnected: bool | None = None


class WebhookEvent(SQLModel, table=True):
    """What TikTok told us, once: the key is the hash of the body. It is processed after it is stored."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        Index(
            "webhook_events_waiting",
            "received_at",
            postgresql_where=text("processed_at IS NULL"),
            sqlite_where=text("processed_at IS NULL"),
        ),
    )

    body_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=UtcDateTime)
    processed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Avatar(SQLModel, table=True):
    """A copy of an account's picture, by the hash of its content."""

    __tablename__ = "avatars"
    __table_args__ = (_of_account(),)

    account_id: UUID = Field(primary_key=True)
    content_hash: str = Field(sa_column=Column(Text, primary_key=True))
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    media_type: str = Field(sa_type=Text)
    content: bytes = Field(sa_type=LargeBinary, repr=False)
    source: str | None = Field(default=None, sa_type=Text)
    stored_at: datetime = Field(sa_type=UtcDateTime)


class Snapshot(SQLModel, table=True):
    """The counters of one sync. `hour` counts UTC hours since 1970, so that hours and days group alike everywhere.

    `is_thinned`: of its day, only this one was kept.
    """

    __tablename__ = "snapshots"
    __table_args__ = (
        _of_account(),
        Index("snapshots_by_account", "viewer_id", "account_id", "recorded_at", unique=True),
        Index(
            "snapshots_to_thin",
            "hour",
            "account_id",
            postgresql_where=text("NOT is_thinned"),
            sqlite_where=text("NOT is_thinned"),
        ),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    account_id: UUID
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    hour: int
    is_thinned: bool = False
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


class SyncJob(SQLModel, table=True):
    """The sync of many accounts. Its counters change in the transactions of its results."""

    __tablename__ = "sync_jobs"
    __table_args__ = (
        UniqueConstraint("id", "viewer_id", name="sync_jobs_id_with_viewer"),
        Index("sync_jobs_by_time", "viewer_id", text("created_at DESC"), text("id DESC")),
        Index("sync_jobs_by_state", "viewer_id", "state", text("created_at DESC"), text("id DESC")),
        Index("sync_jobs_by_end", "finished_at"),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    state: JobState = Field(default=JobState.QUEUED, sa_type=_word(JobState, closed=True))
    total_count: int
    succeeded_count: int = 0
    failed_count: int = 0
    canceled_count: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SyncResult(SQLModel, table=True):
    """One account of a sync job. `account_id` is as asked for: it may be nobody's, or somebody else's.

    Lower turns are read first, of whichever viewer; each viewer has one account in each turn.
    """

    __tablename__ = "sync_results"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "viewer_id"], ["sync_jobs.id", "sync_jobs.viewer_id"], ondelete="CASCADE"),
        Index("sync_results_by_position", "job_id", "position", unique=True),
        Index("sync_results_by_outcome", "job_id", "outcome", "position"),
        Index(
            "sync_results_pending",
            "viewer_id",
            "turn",
            postgresql_where=text("outcome = 'PENDING'"),
            sqlite_where=text("outcome = 'PENDING'"),
        ),
        Index(
            "sync_results_in_turn",
            "turn",
            postgresql_where=text("outcome = 'PENDING'"),
            sqlite_where=text("outcome = 'PENDING'"),
        ),
    )

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    job_id: UUID
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    position: int
    turn: int
    account_id: UUID
    outcome: SyncOutcome = Field(default=SyncOutcome.PENDING, sa_type=_word(SyncOutcome, closed=True))
    attempts: int = 0
    is_running: bool = False
    error_code: str | None = Field(default=None, sa_type=Text)
    error_message: str | None = Field(default=None, sa_type=Text)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RequestQuota(SQLModel, table=True):
    """When the next request to TikTok may be sent, for all processes; and whether TikTok is taken to be down."""

    __tablename__ = "request_quotas"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    next_at: datetime = Field(sa_type=UtcDateTime)
    failures: int = 0
    closed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Worker(SQLModel, table=True):
    """A process that works on jobs, and when it was last seen, by the database's clock."""

    __tablename__ = "workers"

    executor_id: str = Field(sa_column=Column(Text, primary_key=True))
    seen_at: datetime = Field(sa_type=UtcDateTime)


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
