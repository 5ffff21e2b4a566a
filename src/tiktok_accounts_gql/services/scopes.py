"""Scopes: what a user granted, believed as TikTok tells it last.

TikTok tells it in a token reply, or by refusing a reading. Either way the stored scopes follow, and with them health and
the columns that the lost scopes showed.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from datetime import datetime
from itertools import combinations
from typing import Any

from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.tiktok.errors import ScopeNotGranted
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES, TikTokUser

Read = Callable[[frozenset[str]], Awaitable[TikTokUser]]


async def read_granted(read: Read, scopes: Collection[str]) -> TikTokUser:
    """Reads with as many of these scopes as TikTok accepts; `user.scopes` says which. Raises TikTokError.

    A refusal does not name the scope, so that smaller sets are tried, after the same one once more: one odd refusal
    must not cost a scope. Raises ScopeNotGranted if even the smallest set is refused.
    """
    refusal = ScopeNotGranted()
    for candidate in _candidates(scopes):
        try:
            return await read(candidate)
        except ScopeNotGranted as error:
            refusal = error
    raise refusal


def _candidates(scopes: Collection[str]) -> Iterator[frozenset[str]]:
    """The largest sets first. The basic scope is always asked for: without it there is nothing to read."""
    optional = [scope for scope in FIELDS_OF_SCOPES if scope in scopes and scope != BASIC_SCOPE]
    yield frozenset({BASIC_SCOPE, *optional})
    for size in range(len(optional), -1, -1):
        for chosen in combinations(optional, size):
            yield frozenset({BASIC_SCOPE, *chosen})


def granted_after(before: Account, now: Account, accepted: Collection[str]) -> list[str]:
    """The scopes of an account after a reading with these ones.

    `before`: as it was when TikTok was asked. Scopes that changed since, by a renewal or a reconnection, are believed,
    without those that the reading found refused.
    """
    refused = set(before.granted_scopes).intersection(FIELDS_OF_SCOPES).difference(accepted)
    same = now.granted_scopes == before.granted_scopes
    return sorted(set(now.granted_scopes).difference(refused).union(accepted if same else ()))


def changes(account: Account, granted: Collection[str], wanted: Collection[str], now: datetime) -> dict[str, Any]:
    """The columns of an account whose scopes are these from now on; none if they were these before."""
    if set(granted) == set(account.granted_scopes):
        return {}
    return {
        "granted_scopes": sorted(granted),
        **profile_mapping.to_hidden_columns(account.display_name, granted),
        **health.columns_after_scope_change(account, now, scopes_missing=bool(set(wanted).difference(granted))),
    }
