"""Accounts, and what is known of them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    SORT_KEY_LENGTH,
    VIEWER_LENGTH,
    connected,
    of_account,
    ordered,
    partial,
    word,
)
from tiktok_accounts_gql.db.models.words import (
    AccountStatus,
    HealthAction,
    HealthReason,
    HealthState,
)
from tiktok_accounts_gql.db.types import UtcDateTime, byte_ordered, byte_ordered_text


class Account(SQLModel, table=True):
    """A TikTok account that a viewer has connected."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("id", "viewer_id", name="accounts_id_with_viewer"),
        Index("accounts_open_id_once_per_viewer", "viewer_id", "open_id", unique=True),
        connected("accounts_open_id_connected_once", "open_id", unique=True),
        *ordered("accounts_by_created_at", "viewer_id", "created_at DESC", "id DESC"),
        connected("accounts_by_status", "viewer_id", "status", "created_at DESC", "id DESC"),
        connected("accounts_by_health", "viewer_id", "health_state", "created_at DESC", "id DESC"),
        connected("accounts_by_action", "viewer_id", "health_action", "created_at DESC", "id DESC"),
        *ordered("accounts_by_display_name", "viewer_id", "display_name_key", "id"),
        *ordered("accounts_by_username", "viewer_id", "username_key", "id"),
        *ordered("accounts_by_followers", "viewer_id", "follower_count", "id"),
        *ordered("accounts_by_last_sync", "viewer_id", "last_synced_at", "id"),
        partial("accounts_due", "status", "next_sync_at", where="disconnected_at IS NULL AND status = 'ACTIVE'"),
        connected("accounts_that_end", "status", "reauthorize_by"),
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
    status: AccountStatus = Field(default=AccountStatus.ACTIVE, sa_type=word(AccountStatus, closed=True))
    health_state: HealthState = Field(default=HealthState.HEALTHY, sa_type=word(HealthState, closed=True))
    health_reason: HealthReason | None = Field(default=None, sa_type=word(HealthReason, closed=False))
    health_action: HealthAction = Field(default=HealthAction.NONE, sa_type=word(HealthAction, closed=False))
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
    next_sync_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AccountTotals(SQLModel, table=True):
    """Totals of a viewer's connected accounts, kept by triggers on their table: the sum of all of the viewer's parts.

    Counters are added up in two: their lower 40 bits, and the rest in `…_upper`, so that no sum overflows.
    """

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
    total_followers_upper: int = Field(sa_type=BigInteger)
    total_likes_upper: int = Field(sa_type=BigInteger)
    total_videos_upper: int = Field(sa_type=BigInteger)


class AccountChanges(SQLModel, table=True):
    """How often a viewer's accounts have changed: counted by triggers, on SQLite alone."""

    __tablename__ = "account_changes"

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    number: int = Field(sa_type=BigInteger)


class Avatar(SQLModel, table=True):
    """A copy of an account's picture, by the hash of its content."""

    __tablename__ = "avatars"
    __table_args__ = (of_account(),)

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
        of_account(),
        Index("snapshots_by_account", "viewer_id", "account_id", "recorded_at", unique=True),
        partial("snapshots_to_thin", "hour", "account_id", where="NOT is_thinned"),
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
