"""Totals over a viewer's connected accounts, whose reading costs the same for any number of them.

Triggers keep them (see the migrations), in the transaction of whatever changes an account.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, case, cast, func, literal_column, select
from sqlmodel import col

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AccountTotals

_BY_STATUS = {
    AccountStatus.ACTIVE: col(AccountTotals.active_accounts),
    AccountStatus.INACTIVE: col(AccountTotals.inactive_accounts),
    AccountStatus.EXPIRED: col(AccountTotals.expired_accounts),
}
_COUNTERS: tuple[tuple[Any, Any], ...] = (
    (col(AccountTotals.total_followers), col(AccountTotals.total_followers_upper)),
    (col(AccountTotals.total_likes), col(AccountTotals.total_likes_upper)),
    (col(AccountTotals.total_videos), col(AccountTotals.total_videos_upper)),
)
_UPPER_UNIT = 2**40
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSummary:
    """Totals over a viewer's accounts."""

    total_accounts: int
    active_accounts: int
    inactive_accounts: int
    expired_accounts: int
    accounts_needing_action: int
    total_followers: int
    total_likes: int
    total_videos: int
    oldest_sync_at: datetime | None


def total(viewer_id: str, statuses: Collection[AccountStatus] = ()) -> ColumnElement[int]:
    """How many accounts have one of these statuses, or any."""
    counts = [column for status, column in _BY_STATUS.items() if status in statuses or not statuses]
    added: Any = sum(counts[1:], counts[0])
    return select(_sum(added)).where(_is_of(viewer_id)).scalar_subquery()


async def summarize(db: Database, viewer_id: str) -> AccountsSummary:
    prepared = db.prepare("summary of accounts", lambda: _summary(viewer_id))
    [row] = await db.fetch(prepared, {"of_viewer": viewer_id})
    return AccountsSummary(**row._asdict())


def _summary(viewer_id: str) -> Select[Any]:
    kept: tuple[Any, ...] = (*_BY_STATUS.values(), col(AccountTotals.accounts_needing_action))
    everything: Any = sum(_BY_STATUS.values())
    sums = [_sum(everything).label("total_accounts"), *[_sum(column).label(column.key) for column in kept]]
    totals = [_bounded_sum(lower, upper).label(lower.key) for lower, upper in _COUNTERS]
    columns: list[Any] = [*sums, *totals, _oldest_sync(viewer_id)]
    return select(*columns).where(_is_of(viewer_id))


def _oldest_sync(viewer_id: str) -> ColumnElement[datetime | None]:
    """The first entry of the index by the last sync."""
    synced = col(Account.last_synced_at)
    oldest = accounts.connected(viewer_id).where(synced.is_not(None)).order_by(synced).limit(1)
    return oldest.with_only_columns(synced).scalar_subquery().label("oldest_sync_at")


def _sum(column: Any) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def _bounded_sum(lower: Any, upper: Any) -> ColumnElement[int]:
    """At most what the contract's BigInt can tell."""
    exact: Any = func.coalesce(func.sum(lower), 0) + func.coalesce(func.sum(upper), 0) * literal_column(
        str(_UPPER_UNIT)
    )
    largest: Any = literal_column(str(_LARGEST))
    return cast(case((exact > largest, largest), else_=exact), BigInteger)


def _is_of(viewer_id: str) -> ColumnElement[bool]:
    own: Any = col(AccountTotals.viewer_id)
    return own == bindparam("of_viewer", viewer_id, own.type)  # type: ignore[no-any-return]
