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

from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.unit_of_work import defer_rows

SECONDS_PER_HOUR = 3600
HOURS_PER_DAY = 24
_IS_IN_FULL_DETAIL = text("NOT is_thinned")  # as the partial index spells it, or SQLite would not use it
_UNSYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The time from `start`, inclusive, to `end`, exclusive, in buckets of `hours` UTC hours."""

    start: datetime
    end: datetime
    hours: int


def hour_of(time: datetime) -> int:
    """Return the number of UTC hours since 1970."""
    return int(time.astimezone(UTC).timestamp()) // SECONDS_PER_HOUR


def add(session: AsyncSession, account: Account, recorded_at: datetime) -> None:
    """Insert a snapshot of the account's counters before the transaction commits."""
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
    defer_rows(session, _INSERT, [row])


def add_many(session: AsyncSession, snapshots: Sequence[Snapshot]) -> None:
    """Insert snapshots before the transaction commits."""
    defer_rows(session, _INSERT, [snapshot.model_dump() for snapshot in snapshots])


async def list_to_downsample(
    session: AsyncSession, *, before_hour: int, limit: int, excluded: Collection[UUID] = ()
) -> tuple[int, Sequence[UUID]]:
    """Return the first hour of the oldest day in full detail, and up to `limit` of its accounts, of all viewers.

    `excluded`: accounts that are left out. There are no accounts if no day before `before_hour` is in full detail.
    """
    conditions: list[Any] = [_IS_IN_FULL_DETAIL, *([col(Snapshot.account_id).not_in(excluded)] if excluded else [])]
    first_hour = await session.scalar(
        select(func.min(col(Snapshot.hour))).where(*conditions, col(Snapshot.hour) < before_hour)
    )
    if first_hour is None:
        return 0, []
    day = first_hour // HOURS_PER_DAY * HOURS_PER_DAY
    conditions += [col(Snapshot.hour) >= day, col(Snapshot.hour) < day + HOURS_PER_DAY]
    accounts = select(col(Snapshot.account_id)).where(*conditions).distinct().limit(limit)
    return day, (await session.scalars(accounts)).all()


async def downsample(session: AsyncSession, day: int, account_ids: Collection[UUID]) -> None:
    """Delete all but each account's last snapshot of a day. `day` is its first hour."""
    conditions = (
        _IS_IN_FULL_DETAIL,
        col(Snapshot.hour) >= day,
        col(Snapshot.hour) < day + HOURS_PER_DAY,
        col(Snapshot.account_id).in_(account_ids),
    )
    rank = func.row_number().over(partition_by=col(Snapshot.account_id), order_by=col(Snapshot.recorded_at).desc())
    ranked = select(col(Snapshot.id).label("id"), rank.label("rank")).where(*conditions).subquery()
    duplicates = delete(Snapshot).where(col(Snapshot.id).in_(select(ranked.c.id).where(ranked.c.rank > 1)))
    await session.execute(duplicates, execution_options=_UNSYNCHRONIZED)
    marked = update(Snapshot).where(*conditions).values(is_thinned=True)
    await session.execute(marked, execution_options=_UNSYNCHRONIZED)


_INSERT = insert(table_of(Snapshot))
