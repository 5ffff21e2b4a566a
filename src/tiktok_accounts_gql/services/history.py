"""Reads the history of accounts' counters, and downsamples it as it gets older."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import snapshot_queries, snapshots
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.snapshot_queries import GrowthCounters, Point
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.viewer import Viewer

MAX_POINTS = 400
MAX_GROWTH_DAYS = 365
DETAIL_RETENTION = timedelta(days=90)
DOWNSAMPLE_BATCH = 500  # accounts


class StatsGranularity(IntEnum):
    """The distance between the points of a history, in hours."""

    HOUR = 1
    DAY = 24


DEFAULT_PERIOD = {StatsGranularity.HOUR: timedelta(days=7), StatsGranularity.DAY: timedelta(days=30)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The changes between two snapshots; None where one of them lacks the counter."""

    since: datetime
    follower_change: int | None
    follower_change_rate: float | None
    likes_change: int | None
    video_change: int | None

    @classmethod
    def between(cls, first: GrowthCounters, last: GrowthCounters) -> "Growth":
        follower_change = _subtract(last.follower_count, first.follower_count)
        rate = None
        if follower_change is not None and first.follower_count:
            rate = follower_change / first.follower_count
        return cls(
            since=first.recorded_at,
            follower_change=follower_change,
            follower_change_rate=rate,
            likes_change=_subtract(last.likes_count, first.likes_count),
            video_change=_subtract(last.video_count, first.video_count),
        )


def _subtract(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryService:
    """Reads the snapshots of many accounts at a time, by one statement."""

    db: Database
    clock: Clock
    failures: FailureLog = field(default_factory=FailureLog)

    def build_period(self, start: datetime | None, end: datetime | None, granularity: StatsGranularity) -> Period:
        """Fill in what is absent. Raises BadUserInput for too many points, and for an end that is not after the start.

        The default end is that of the current hour, not now: it includes the same snapshots, and it is the same for all
        accounts of a page, which then share one statement.
        """
        end = end or self.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        if start is None:
            try:
                start = end - DEFAULT_PERIOD[granularity]
            except OverflowError:
                raise BadUserInput("`to` is too early.") from None
        if start >= end:
            raise BadUserInput("`from` lies before `to`.")
        last_hour = snapshots.hour_of(end - timedelta(microseconds=1))
        point_count = last_hour // granularity - snapshots.hour_of(start) // granularity + 1
        if point_count > MAX_POINTS:
            unit = granularity.name.lower()
            raise BadUserInput(
                f"From `from` to `to` there are {point_count} UTC {unit}s; {MAX_POINTS} are allowed. "
                f"Choose a later `from`, best the beginning of a UTC {unit}."
            )
        return Period(start=start, end=end, hours=granularity.value)

    async def list_points(self, viewer: Viewer, account_ids: Sequence[UUID], period: Period) -> dict[UUID, list[Point]]:
        """Return the points of each account, oldest first."""
        points: dict[UUID, list[Point]] = {}
        for point in await snapshot_queries.list_points(self.db, viewer.id, account_ids, period):
            points.setdefault(point.account_id, []).append(point)
        return points

    async def list_growth(self, viewer: Viewer, account_ids: Collection[UUID], days: int) -> dict[UUID, Growth]:
        """Return the growth of each account that has two snapshots in the last `days`. Raises BadUserInput."""
        if not 1 <= days <= MAX_GROWTH_DAYS:
            raise BadUserInput(f"`days` is from 1 to {MAX_GROWTH_DAYS}.")
        since = self.clock() - timedelta(days=days)
        rows = await snapshot_queries.list_first_and_last(self.db, viewer.id, account_ids, since)
        return {row.account_id: Growth.between(row.first, row.last) for row in rows}

    async def downsample(self) -> int:
        """Keep one snapshot a day of each account's older ones; return how many accounts' days were downsampled."""
        before = snapshots.hour_of(self.clock() - DETAIL_RETENTION)
        before -= before % snapshots.HOURS_PER_DAY
        count, failed_ids = 0, set[UUID]()
        while True:
            async with self.db.read() as session:
                day, account_ids = await snapshots.list_to_downsample(
                    session, before_hour=before, limit=DOWNSAMPLE_BATCH, excluded=failed_ids
                )
            if not account_ids:
                return count
            act = partial(self._downsample_day, day)
            failed = await self.failures.run_bisecting(
                FailureKind.THINNING, account_ids, act, ids_of=lambda account_id: {"account_id": str(account_id)}
            )
            failed_ids.update(failed)
            count += len(account_ids) - len(failed)

    async def _downsample_day(self, day: int, account_ids: Sequence[UUID]) -> None:
        async with self.db.transaction() as session:
            await snapshots.downsample(session, day, account_ids)
