"""What one reading of TikTok changes in an account."""

from datetime import datetime
from typing import Any

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.tiktok.values import TikTokUser

PLACEHOLDER_LENGTH = 8

_COUNTERS = ("follower_count", "following_count", "likes_count", "video_count")
_PROFILE = ("union_id", "bio_description", "profile_url", "is_verified")


def columns(user: TikTokUser, account: Account | None, now: datetime) -> dict[str, Any]:
    """The columns of an account after a reading. What TikTok left out stays as it was; a real 0 is 0."""
    values = {name: getattr(user, name) for name in (*_COUNTERS, *_PROFILE) if getattr(user, name) is not None}
    username = account.username if user.username is None and account is not None else user.username
    display_name = user.display_name or (account.display_name if account else placeholder(user.open_id))
    return {**values, **accounts.names(username, display_name), "last_synced_at": now, "updated_at": now}


def placeholder(open_id: str) -> str:
    """The name of an account whose name was never read."""
    return open_id[:PLACEHOLDER_LENGTH]


def changed_counters(before: Account, after: Account) -> list[Detail]:
    """For the audit: what is new, and what was."""
    return [
        Detail(name=_camel(name), value=getattr(after, name), previous=getattr(before, name))
        for name in _COUNTERS
        if getattr(after, name) != getattr(before, name)
    ]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))
