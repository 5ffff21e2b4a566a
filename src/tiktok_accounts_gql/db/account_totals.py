"""Totals over a viewer's connected accounts, which cost the same to read for any number of accounts.

Triggers maintain them (`migrations/account_totals.py`), in the transaction that changes an account.
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
_UPPER_UNIT = 2**40  # the `…_upper` columns count multiples of it
_MAX_BIG_INT = 2**53 - 1  # the contract's BigInt


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSummary:
    """Totals over a viewer's connected accounts."""

    total_accounts: int
    active_accounts: int
    inactive_accounts: int
    expired_accounts: int
    accounts_needing_action: int
    total_followers: int
    total_likes: int
    total_videos: int
    oldest_sync_at: datetime | None


def build_total(viewer_id: str, statuses: Collection[AccountStatus] = ()) -> ColumnElement[int]:
    """Return a subquery for the number of accounts with one of these statuses, or with any if there are none."""
    counts = [column for status, column in _BY_STATUS.items() if status in statuses or not statuses]
    total: Any = sum(counts[1:], counts[0])
    return select(_sum(total)).where(_is_of_viewer(viewer_id)).scalar_subquery()


async def summarize(db: Database, viewer_id: str) -> AccountsSummary:
    statement = db.compile("summary of accounts", lambda: _build_summary(viewer_id))
    [row] = await db.fetch(statement, {"of_viewer": viewer_id})
    return AccountsSummary(**row._asdict())


def _build_summary(viewer_id: str) -> Select[Any]:
    counts: tuple[Any, ...] = (*_BY_STATUS.values(), col(AccountTotals.accounts_needing_action))
    all_accounts: Any = sum(_BY_STATUS.values())
    synced_at = col(Account.last_synced_at)
    # The first entry of the index by the last sync.
    oldest_sync = accounts.select_connected(viewer_id).where(synced_at.is_not(None)).order_by(synced_at).limit(1)
    columns: list[Any] = [
        _sum(all_accounts).label("total_accounts"),
        *[_sum(column).label(column.key) for column in counts],
        *[_bounded_sum(lower, upper).label(lower.key) for lower, upper in _COUNTERS],
        oldest_sync.with_only_columns(synced_at).scalar_subquery().label("oldest_sync_at"),
    ]
    return select(*columns).where(_is_of_viewer(viewer_id))


def _sum(column: Any) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def _bounded_sum(lower: Any, upper: Any) -> ColumnElement[int]:
    """Return the sum of a counter, at most `_MAX_BIG_INT`."""
    upper_sum: Any = func.coalesce(func.sum(upper), 0) * literal_column(str(_UPPER_UNIT))
    exact: Any = func.coalesce(func.sum(lower), 0) + upper_sum
    maximum: Any = literal_column(str(_MAX_BIG_INT))
    return cast(case((exact > maximum, maximum), else_=exact), BigInteger)


def _is_of_viewer(viewer_id: str) -> ColumnElement[bool]:
    column: Any = col(AccountTotals.viewer_id)
    return column == bindparam("of_viewer", viewer_id, column.type)  # type: ignore[no-any-return]
