"""Statements of the schedule, about accounts of all viewers: connected and ACTIVE ones, in the order of their next sync."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.tables import table_of


class Scheduled(NamedTuple):
    """An account with its next sync; None if it has none yet."""

    viewer_id: str
    id: UUID
    open_id: str
    next_sync_at: datetime | None


async def list_due(session: AsyncSession, *, now: datetime, after: Scheduled | None, limit: int) -> Sequence[Scheduled]:
    """Those whose time has come, longest ago first; those behind `after` if it is given."""
    time = col(Account.next_sync_at)
    behind = () if after is None else (time >= after.next_sync_at, or_(time > after.next_sync_at, after.id < _ID))
    due = _SCHEDULED.where(time <= now, *behind).order_by(time, _ID).limit(limit)
    return [Scheduled(*row) for row in await session.execute(due)]


async def lock_due(session: AsyncSession, ids: Collection[UUID], *, now: datetime) -> Sequence[Scheduled]:
    """Those of these accounts that are still due; without those that somebody else is changing at this moment."""
    due = _SCHEDULED.where(_ID.in_(ids), col(Account.next_sync_at) <= now)
    rows = await session.execute(due.with_for_update(key_share=True, skip_locked=True))
    return [Scheduled(*row) for row in rows]


async def list_misplaced(
    session: AsyncSession, *, latest: datetime, latest_retry: datetime, limit: int
) -> Sequence[Scheduled]:
    """Those without a time, and those whose time lies further ahead than any that is set now."""
    time = col(Account.next_sync_at)
    retried = col(Account.next_retry_at).is_not(None)
    too_late = _SCHEDULED.where(time > latest, or_(~retried, time > latest_retry)).order_by(time.desc())
    misplaced: list[Scheduled] = []
    for statement in (_SCHEDULED.where(time.is_(None)), too_late):
        rows = await session.execute(statement.limit(limit - len(misplaced)))
        misplaced += [Scheduled(*row) for row in rows]
    return misplaced


def set_times(session: AsyncSession, times: Iterable[tuple[Scheduled, datetime | None]]) -> None:
    """At the end of the session's transaction, for those whose time is still the one that was read."""
    rows = [
        {"of_viewer": one.viewer_id, "of_account": one.id, "read": one.next_sync_at, "next": time}
        for one, time in sorted(times, key=lambda it: it[0].id)  # as everybody locks them
    ]
    write_at_end(session, _SET_TIME, rows)


_accounts = table_of(Account)
_ID = col(Account.id)
# In the words of the partial index: SQLite uses it for nothing else, and PostgreSQL for no parameter. The status is the
# index's first column too: without statistics SQLite would prefer another one that begins with it.
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
