"""Accounts, their totals, pictures and counters."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.models.columns import (
    SORT_KEY_LENGTH,
    VIEWER_LENGTH,
    account_foreign_key,
    connected_index,
    enum_column,
    ordering_indexes,
    partial_index,
)
from tiktok_accounts_gql.db.models.enums import (
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
        connected_index("accounts_open_id_connected_once", "open_id", unique=True),
        *ordering_indexes("accounts_by_created_at", "viewer_id", "created_at DESC", "id DESC"),
        connected_index("accounts_by_status", "viewer_id", "status", "created_at DESC", "id DESC"),
        connected_index("accounts_by_health", "viewer_id", "health_state", "created_at DESC", "id DESC"),
        connected_index("accounts_by_action", "viewer_id", "health_action", "created_at DESC", "id DESC"),
        *ordering_indexes("accounts_by_display_name", "viewer_id", "display_name_key", "id"),
        *ordering_indexes("accounts_by_username", "viewer_id", "username_key", "id"),
        *ordering_indexes("accounts_by_followers", "viewer_id", "follower_count", "id"),
        *ordering_indexes("accounts_by_last_sync", "viewer_id", "last_synced_at", "id"),
        partial_index(
            "accounts_due", "status", "next_sync_at", condition="disconnected_at IS NULL AND status = 'ACTIVE'"
        ),
        connected_index("accounts_that_end", "status", "reauthorize_by"),
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
    status: AccountStatus = Field(default=AccountStatus.ACTIVE, sa_type=enum_column(AccountStatus, closed=True))
    health_state: HealthState = Field(default=HealthState.HEALTHY, sa_type=enum_column(HealthState, closed=True))
    health_reason: HealthReason | None = Field(default=None, sa_type=enum_column(HealthReason, closed=False))
    health_action: HealthAction = Field(default=HealthAction.NONE, sa_type=enum_column(HealthAction, closed=False))
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
    """Totals of a viewer's connected accounts, maintained by triggers: they are the sums of all rows of the viewer.

    A counter has two columns: its lower 40 bits, and the rest in `…_upper`, so that no sum overflows.
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
    """How often a viewer's accounts have changed: counted by triggers, on SQLite only."""

    __tablename__ = "account_changes"

    viewer_id: str = Field(sa_column=Column(byte_ordered(VIEWER_LENGTH), primary_key=True))
    number: int = Field(sa_type=BigInteger)


class Avatar(SQLModel, table=True):
    """A copy of an account's picture, identified by the hash of its content."""

    __tablename__ = "avatars"
    __table_args__ = (account_foreign_key(),)

    account_id: UUID = Field(primary_key=True)
    content_hash: str = Field(sa_column=Column(Text, primary_key=True))
    viewer_id: str = Field(sa_type=byte_ordered(VIEWER_LENGTH))
    media_type: str = Field(sa_type=Text)
    content: bytes = Field(sa_type=LargeBinary, repr=False)
    source: str | None = Field(default=None, sa_type=Text)
    stored_at: datetime = Field(sa_type=UtcDateTime)


class Snapshot(SQLModel, table=True):
    """The counters of one sync. `hour` is the number of UTC hours since 1970, by which both databases group alike.

    `is_thinned`: the other snapshots of its day were deleted.
    """

    __tablename__ = "snapshots"
    __table_args__ = (
        account_foreign_key(),
        Index("snapshots_by_account", "viewer_id", "account_id", "recorded_at", unique=True),
        partial_index("snapshots_to_thin", "hour", "account_id", condition="NOT is_thinned"),
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
