"""Statements about snapshots: the counters of each sync."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db.closing import write_at_end
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.tables import table_of

SECONDS_PER_HOUR = 3600
HOURS_PER_DAY = 24
_NOT_THINNED = text("NOT is_thinned")  # in the words of the partial index, or SQLite would not use it
_UNSYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `start`, inclusive, to `end`, exclusive; one snapshot, the last one, for each `hours` UTC hours."""

    start: datetime
    end: datetime
    hours: int


def hour_of(time: datetime) -> int:
    """UTC hours since 1970."""
    return int(time.astimezone(UTC).timestamp()) // SECONDS_PER_HOUR


def add(session: AsyncSession, account: Account, recorded_at: datetime) -> None:
    """The account's counters, at the end of the session's transaction."""
    row = {
        "id": uuid7(),
        "viewer_id": account.viewer_id,
        "account_id": account.id,
        "recorded_at": recorded_at,
        "hour": hour_of(recorded_at),
        "is_thinned": False,
        "follower_count": account.follower_count,
        "following_count": account.following_count,
        "likes_count": account.likes_count,
        "video_count": account.video_count,
    }
    write_at_end(session, _ADD, [row])


def add_many(session: AsyncSession, snapshots: Sequence[Snapshot]) -> None:
    """At the end of the session's transaction."""
    write_at_end(session, _ADD, [snapshot.model_dump() for snapshot in snapshots])


async def list_to_thin(
    session: AsyncSession, *, before_hour: int, limit: int, but: Collection[UUID] = ()
) -> tuple[int, Sequence[UUID]]:
    """The first hour of the oldest day that has more than it keeps, and so many of its accounts, of all viewers.

    `but`: accounts that are left out.
    """
    waiting: list[Any] = [_NOT_THINNED, *([col(Snapshot.account_id).not_in(but)] if but else [])]
    first = await session.scalar(select(func.min(col(Snapshot.hour))).where(*waiting, col(Snapshot.hour) < before_hour))
    if first is None:
        return 0, []
    day = first // HOURS_PER_DAY * HOURS_PER_DAY
    of_day = (*waiting, col(Snapshot.hour) >= day, col(Snapshot.hour) < day + HOURS_PER_DAY)
    return day, (await session.scalars(select(col(Snapshot.account_id)).where(*of_day).distinct().limit(limit))).all()


async def thin(session: AsyncSession, day: int, account_ids: Collection[UUID]) -> None:
    """Keeps each account's last snapshot of a day, which begins with this hour."""
    of_day = (_NOT_THINNED, col(Snapshot.hour) >= day, col(Snapshot.hour) < day + HOURS_PER_DAY)
    here = (*of_day, col(Snapshot.account_id).in_(account_ids))
    rank = func.row_number().over(partition_by=col(Snapshot.account_id), order_by=col(Snapshot.recorded_at).desc())
    ranked = select(col(Snapshot.id).label("id"), rank.label("rank")).where(*here).subquery()
    superfluous = delete(Snapshot).where(col(Snapshot.id).in_(select(ranked.c.id).where(ranked.c.rank > 1)))
    await session.execute(superfluous, execution_options=_UNSYNCHRONIZED)
    await session.execute(update(Snapshot).where(*here).values(is_thinned=True), execution_options=_UNSYNCHRONIZED)


_ADD = insert(table_of(Snapshot))
