"""Each viewer's budget of cost points: a token bucket in one row, refilled by the database's clock.

A process takes points in portions and spends them in memory, so that a request touches no row. Only processes that serve
the same viewer wait for each other.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import CostBucket
from tiktok_accounts_gql.db.tables import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSize:
    """The size of a bucket: `limit` points when it is full, and `restored` points that flow back each second."""

    limit: int
    restored: int

    @property
    def time_to_fill(self) -> timedelta:
        """The time in which an empty bucket fills up."""
        return timedelta(seconds=self.limit / self.restored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """The `points` that were taken from a bucket, and how many are `remaining` in it."""

    points: float
    remaining: float


async def take(session: AsyncSession, viewer_id: str, size: BucketSize, *, points: float) -> Withdrawal:
    """Take up to `points` from the bucket, as many as it has; a negative number puts points back."""
    row = (await session.execute(_select_locked(viewer_id))).one_or_none()
    if row is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(_buckets)
        full = insert.values(viewer_id=viewer_id, points=size.limit, counted_at=FromNow())
        await session.execute(full.on_conflict_do_nothing())
        row = (await session.execute(_select_locked(viewer_id))).one()
    elapsed = max(0.0, (row.now - row.counted_at).total_seconds())  # a clock that was set back restores nothing
    available = min(size.limit, row.points + elapsed * size.restored)
    points = min(points, max(0.0, available))
    remaining = min(size.limit, available - points)
    await session.execute(
        update(_buckets).where(_buckets.c.viewer_id == viewer_id).values(points=remaining, counted_at=row.now)
    )
    return Withdrawal(points=points, remaining=remaining)


async def delete_full(session: AsyncSession, size: BucketSize, *, limit: int) -> int:
    """Delete up to `limit` buckets that must be full again, and return how many: a viewer without a row has a full one."""
    full_since = FromNow(-size.time_to_fill.total_seconds())
    full = select(_buckets.c.viewer_id).where(_buckets.c.counted_at < full_since).limit(limit)
    deleted = await session.execute(delete(_buckets).where(_buckets.c.viewer_id.in_(full)))
    return deleted.rowcount  # type: ignore[attr-defined, no-any-return]


def _select_locked(viewer_id: str) -> Select[Any]:
    return select(_buckets, FromNow().label("now")).where(_buckets.c.viewer_id == viewer_id).with_for_update()


_buckets = table_of(CostBucket)
