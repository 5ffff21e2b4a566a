"""Statements of the schedule: about connected and ACTIVE accounts of all viewers, in the order of their next sync."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows


class ScheduledSync(NamedTuple):
    """An account and the time of its next sync; None if it has none yet."""

    viewer_id: str
    id: UUID
    open_id: str
    next_sync_at: datetime | None


async def list_due(
    session: AsyncSession, *, now: datetime, after: ScheduledSync | None, limit: int
) -> Sequence[ScheduledSync]:
    """Return the accounts that are due, longest overdue first; those behind `after`, if given."""
    time = col(Account.next_sync_at)
    is_behind = () if after is None else (time >= after.next_sync_at, or_(time > after.next_sync_at, after.id < _ID))
    due = _SCHEDULED.where(time <= now, *is_behind).order_by(time, _ID).limit(limit)
    return [ScheduledSync(*row) for row in await session.execute(due)]


async def lock_due(session: AsyncSession, ids: Collection[UUID], *, now: datetime) -> Sequence[ScheduledSync]:
    """Lock those of these accounts that are still due, and return them, without those that another transaction has locked."""
    due = _SCHEDULED.where(_ID.in_(ids), col(Account.next_sync_at) <= now)
    rows = await session.execute(due.with_for_update(key_share=True, skip_locked=True))
    return [ScheduledSync(*row) for row in rows]


async def list_misscheduled(
    session: AsyncSession, *, latest: datetime, latest_retry: datetime, limit: int
) -> Sequence[ScheduledSync]:
    """Return accounts without a time, and accounts whose time lies further ahead than any that would be set now."""
    time = col(Account.next_sync_at)
    has_retry = col(Account.next_retry_at).is_not(None)
    too_late = _SCHEDULED.where(time > latest, or_(~has_retry, time > latest_retry)).order_by(time.desc())
    accounts: list[ScheduledSync] = []
    for statement in (_SCHEDULED.where(time.is_(None)), too_late):
        rows = await session.execute(statement.limit(limit - len(accounts)))
        accounts += [ScheduledSync(*row) for row in rows]
    return accounts


def set_times(session: AsyncSession, times: Iterable[tuple[ScheduledSync, datetime | None]]) -> None:
    """Set next syncs before the transaction commits, for accounts whose time is still the one that was read."""
    rows = [
        {"of_viewer": account.viewer_id, "of_account": account.id, "read": account.next_sync_at, "next": time}
        for account, time in sorted(times, key=lambda pair: pair[0].id)  # the order in which all transactions lock them
    ]
    defer_rows(session, _SET_TIME, rows)


_accounts = table_of(Account)
_ID = col(Account.id)
# As the partial index spells it: SQLite uses the index for no other condition, and PostgreSQL for no parameter. The status
# is the index's first column too: without statistics SQLite would prefer another index that begins with it.
_ON_SCHEDULE = text("accounts.disconnected_at IS NULL AND accounts.status = 'ACTIVE'")
_SCHEDULED = select(col(Account.viewer_id), _ID, col(Account.open_id), col(Account.next_sync_at)).where(_ON_SCHEDULE)
_SET_TIME = (
    update(_accounts)
    .where(
        _accounts.c.viewer_id == bindparam("of_viewer"),
        _accounts.c.id == bindparam("of_account"),
        _accounts.c.next_sync_at.is_not_distinct_from(bindparam("read")),
    )
    .values(next_sync_at=bindparam("next"))
)
