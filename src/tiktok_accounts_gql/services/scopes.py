"""Granted scopes, as TikTok told them last.

TikTok tells them in a token reply, or by refusing a reading. Either way the stored scopes follow, and with them the
account's health and the columns that the lost scopes showed.
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


async def read_with_accepted_scopes(read: Read, scopes: Collection[str]) -> TikTokUser:
    """Read with as many of these scopes as TikTok accepts; `user.scopes` are the accepted ones. Raises TikTokError.

    A refusal does not name the scope. So the same set is tried once more, because one wrong refusal must not cost a scope,
    and then smaller sets. Raises ScopeNotGranted if even the smallest set is refused.
    """
    refusal = ScopeNotGranted()
    for candidate in _list_scope_sets(scopes):
        try:
            return await read(candidate)
        except ScopeNotGranted as error:
            refusal = error
    raise refusal


def _list_scope_sets(scopes: Collection[str]) -> Iterator[frozenset[str]]:
    """Yield the full set twice, then smaller ones. All have the basic scope: without it there is nothing to read."""
    optional = [scope for scope in FIELDS_OF_SCOPES if scope in scopes and scope != BASIC_SCOPE]
    yield frozenset({BASIC_SCOPE, *optional})
    for size in range(len(optional), -1, -1):
        for subset in combinations(optional, size):
            yield frozenset({BASIC_SCOPE, *subset})


def merge_scopes(before: Account, current: Account, accepted: Collection[str]) -> list[str]:
    """Return the account's scopes after a reading in which TikTok accepted these ones.

    `before` is the account as it was when TikTok was asked. If its scopes have changed since, by a refresh or a
    reconnection, those of `current` count, without those that the reading found refused.
    """
    refused = set(before.granted_scopes).intersection(FIELDS_OF_SCOPES).difference(accepted)
    is_unchanged = current.granted_scopes == before.granted_scopes
    return sorted(set(current.granted_scopes).difference(refused).union(accepted if is_unchanged else ()))


def scope_columns(
    account: Account, granted: Collection[str], requested: Collection[str], now: datetime
) -> dict[str, Any]:
    """Return the account's columns that change with its scopes; none if it has these scopes already."""
    if set(granted) == set(account.granted_scopes):
        return {}
    return {
        "granted_scopes": sorted(granted),
        **profile_mapping.to_hidden_columns(account.display_name, granted),
        **health.columns_after_scope_change(account, now, scopes_missing=bool(set(requested).difference(granted))),
    }
