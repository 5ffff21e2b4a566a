"""How a profile that TikTok sent maps to the columns of an account."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.tiktok.errors import WrongAccount
from tiktok_accounts_gql.tiktok.values import TikTokUser

PLACEHOLDER_LENGTH = 8

_COUNTERS = ("follower_count", "following_count", "likes_count", "video_count")
_COLUMNS_OF_SCOPES = {
    "user.info.profile": ("bio_description", "profile_url", "is_verified"),
    "user.info.stats": _COUNTERS,
}


def verify_account(user: TikTokUser, *, open_id: str, union_id: str | None) -> TikTokUser:
    """Return the profile with this open id. Raises WrongAccount if TikTok's ids say that it is another account's."""
    is_other_account = user.open_id is not None and user.open_id != open_id
    is_other_person = user.open_id is None and None not in (user.union_id, union_id) and user.union_id != union_id
    if is_other_account or is_other_person:
        raise WrongAccount
    return replace(user, open_id=open_id)


def to_columns(
    user: TikTokUser, account: Account | None, granted_scopes: Collection[str], now: datetime
) -> dict[str, Any]:
    """Return the columns of an account that was read. What TikTok did not send is null, and a real 0 is 0.

    `union_id` and `display_name` keep their last value instead: they identify the account, and the name cannot be null.
    """
    fields = {name: getattr(user, name) for names in _COLUMNS_OF_SCOPES.values() for name in names}
    display_name = user.display_name or (account.display_name if account else to_placeholder_name(user.open_id or ""))
    union_id = user.union_id or (account.union_id if account else None)
    columns = {**fields, **accounts.name_columns(user.username, display_name), "union_id": union_id}
    return {**columns, **to_hidden_columns(display_name, granted_scopes), "last_synced_at": now, "updated_at": now}


def to_hidden_columns(display_name: str, granted_scopes: Collection[str]) -> dict[str, Any]:
    """Return the columns that the granted scopes do not show: null, whatever was read before."""
    hidden = [names for scope, names in _COLUMNS_OF_SCOPES.items() if scope not in granted_scopes]
    names_columns = {} if "user.info.profile" in granted_scopes else accounts.name_columns(None, display_name)
    return {**dict.fromkeys(name for names in hidden for name in names), **names_columns}


def has_counters(account: Account) -> bool:
    """Whether a snapshot has anything to store: without counters it would be no point of a history."""
    return any(getattr(account, name) is not None for name in _COUNTERS)


def to_placeholder_name(open_id: str) -> str:
    """Return the display name of an account whose name was never read."""
    return open_id[:PLACEHOLDER_LENGTH]


def changed_counters(before: Account, after: Account) -> list[Detail]:
    """Return the counters that changed, with their previous values, for the audit event."""
    return [
        Detail(name=_to_camel_case(name), value=getattr(after, name), previous=getattr(before, name))
        for name in _COUNTERS
        if getattr(after, name) != getattr(before, name)
    ]


def _to_camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
