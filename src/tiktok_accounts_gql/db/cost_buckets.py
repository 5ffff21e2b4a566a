"""Each viewer's budget of cost points: a token bucket in one row, by the database's clock.

Processes take points in portions and spend them by themselves, so that a request needs no row of its own. Only processes
that serve the same viewer meet on a row.
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
    """`limit`: points in a full bucket; `restored`: points that come back in a second."""

    limit: int
    restored: int

    @property
    def time_to_fill(self) -> timedelta:
        """From empty to full."""
        return timedelta(seconds=self.limit / self.restored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """`points` that were taken out of a bucket, and what is `left` in it."""

    points: float
    left: float


async def take(session: AsyncSession, viewer_id: str, size: BucketSize, *, points: float) -> Taken:
    """As many points as there are, `points` at most; a negative number gives some back."""
    row = (await session.execute(_locked(viewer_id))).one_or_none()
    if row is None:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(_buckets)
        full = insert.values(viewer_id=viewer_id, points=size.limit, counted_at=FromNow())
        await session.execute(full.on_conflict_do_nothing())
        row = (await session.execute(_locked(viewer_id))).one()
    elapsed = max(0.0, (row.now - row.counted_at).total_seconds())  # a clock that was set back restores nothing
    available = min(size.limit, row.points + elapsed * size.restored)
    taken = min(points, max(0.0, available))
    left = min(size.limit, available - taken)
    await session.execute(
        update(_buckets).where(_buckets.c.viewer_id == viewer_id).values(points=left, counted_at=row.now)
    )
    return Taken(points=taken, left=left)


async def forget_full(session: AsyncSession, size: BucketSize, *, limit: int) -> int:
    """Deletes so many buckets at most that nobody has taken from for so long that they are full; returns how many."""
    since = FromNow(-size.time_to_fill.total_seconds())
    full = select(_buckets.c.viewer_id).where(_buckets.c.counted_at < since).limit(limit)
    deleted = await session.execute(delete(_buckets).where(_buckets.c.viewer_id.in_(full)))
    return deleted.rowcount  # type: ignore[attr-defined, no-any-return]


def _locked(viewer_id: str) -> Select[Any]:
    return select(_buckets, FromNow().label("now")).where(_buckets.c.viewer_id == viewer_id).with_for_update()


_buckets = table_of(CostBucket)
