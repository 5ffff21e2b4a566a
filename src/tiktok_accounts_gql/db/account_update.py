"""The columns of an account that an update may set."""

from datetime import datetime
from typing import TypedDict

from tiktok_accounts_gql.db.models import AccountStatus, HealthAction, HealthReason, HealthState


class NameColumns(TypedDict, total=False):
    """Names, and what they are sorted and searched by (`accounts.name_columns`)."""

    username: str | None
    username_key: str | None
    display_name: str
    display_name_key: str
    search_text: str


class HealthColumns(TypedDict, total=False):
    """The columns of an account's health (`services/health.py`)."""

    status: AccountStatus
    health_state: HealthState
    health_reason: HealthReason | None
    health_action: HealthAction
    health_since: datetime
    next_retry_at: datetime | None
    consecutive_failures: int
    last_error: str | None


class AccountUpdate(NameColumns, HealthColumns, total=False):
    """New values of an account's columns."""

    union_id: str | None
    avatar_hash: str | None
    bio_description: str | None
    profile_url: str | None
    is_verified: bool | None
    follower_count: int | None
    following_count: int | None
    likes_count: int | None
    video_count: int | None
    granted_scopes: list[str]
    last_synced_at: datetime | None
    token_expires_at: datetime | None
    reauthorize_by: datetime | None
    created_at: datetime
    connected_at: datetime
    updated_at: datetime
    disconnected_at: datetime | None
    next_sync_at: datetime | None
