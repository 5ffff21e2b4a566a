"""What one reading of TikTok changes in an account."""

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


def of_account(user: TikTokUser, *, open_id: str, union_id: str | None) -> TikTokUser:
    """The reading of this account. Raises WrongAccount if it is another one's, as far as TikTok says whose it is."""
    other_open_id = user.open_id is not None and user.open_id != open_id
    other_person = user.open_id is None and None not in (user.union_id, union_id) and user.union_id != union_id
    if other_open_id or other_person:
        raise WrongAccount
    return replace(user, open_id=open_id)


def columns(
    user: TikTokUser, account: Account | None, granted_scopes: Collection[str], now: datetime
) -> dict[str, Any]:
    """The columns of an account after a reading. What TikTok did not tell is null, and a real 0 is 0.

    Two columns are no news but name the account, and keep their last value: its `union_id`, and its `display_name`,
    which cannot be null.
    """
    fields = {name: getattr(user, name) for names in _COLUMNS_OF_SCOPES.values() for name in names}
    display_name = user.display_name or (account.display_name if account else placeholder(user.open_id or ""))
    union_id = user.union_id or (account.union_id if account else None)
    read = {**fields, **accounts.name_columns(user.username, display_name), "union_id": union_id}
    return {**read, **withheld(display_name, granted_scopes), "last_synced_at": now, "updated_at": now}


def withheld(display_name: str, granted_scopes: Collection[str]) -> dict[str, Any]:
    """The columns of an account that its scopes do not show: null, whatever was read before."""
    hidden = [names for scope, names in _COLUMNS_OF_SCOPES.items() if scope not in granted_scopes]
    nameless = {} if "user.info.profile" in granted_scopes else accounts.name_columns(None, display_name)
    return {**dict.fromkeys(name for names in hidden for name in names), **nameless}


def has_counters(account: Account) -> bool:
    """Whether there is anything to remember of this reading: without counters it is no point of a history."""
    return any(getattr(account, name) is not None for name in _COUNTERS)


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
