"""An account's counters over time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import histories, snapshots
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.histories import Counters, Point
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.viewer import Viewer

MAX_POINTS = 400
MAX_GROWTH_DAYS = 365
DETAIL_KEPT = timedelta(days=90)
THINNED_AT_ONCE = 500


class StatsGranularity(IntEnum):
    """How close the points of a history lie, in hours."""

    HOUR = 1
    DAY = 24


DEFAULT_PERIOD = {StatsGranularity.HOUR: timedelta(days=7), StatsGranularity.DAY: timedelta(days=30)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGrowth:
    """What changed between two snapshots; None where one of them lacks the counter."""

    since: datetime
    follower_change: int | None
    follower_change_rate: float | None
    likes_change: int | None
    video_change: int | None

    @classmethod
    def between(cls, first: Counters, last: Counters) -> "AccountGrowth":
        followers = _difference(last.follower_count, first.follower_count)
        return cls(
            since=first.recorded_at,
            follower_change=followers,
            follower_change_rate=followers / first.follower_count
            if followers is not None and first.follower_count
            else None,
            likes_change=_difference(last.likes_count, first.likes_count),
            video_change=_difference(last.video_count, first.video_count),
        )


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


class HistoryService:
    """Reads snapshots, of all accounts of a page in one statement."""

    def __init__(self, *, db: Database, clock: Clock, failures: FailureLog | None = None) -> None:
        self._db = db
        self._failures = failures or FailureLog()
        self._clock = clock

    def period(self, start: datetime | None, end: datetime | None, granularity: StatsGranularity) -> Period:
        """Raises BadUserInput for more points than allowed, and for an end that is not after the start."""
        end = end or self._end_of_hour()
        start = start or _before(end, DEFAULT_PERIOD[granularity])
        if start >= end:
            raise BadUserInput("`from` lies before `to`.")
        last_hour = snapshots.hour_of(end - timedelta(microseconds=1))
        points = last_hour // granularity - snapshots.hour_of(start) // granularity + 1
        if points > MAX_POINTS:
            unit = granularity.name.lower()
            raise BadUserInput(
                f"From `from` to `to` there are {points} UTC {unit}s; {MAX_POINTS} are allowed. "
                f"Choose a later `from`, best the beginning of a UTC {unit}."
            )
        return Period(start=start, end=end, hours=granularity.value)

    async def thin(self) -> int:
        """Keeps one snapshot a day of what is older than 90 days; returns how many accounts' days were thinned."""
        before = snapshots.hour_of(self._clock() - DETAIL_KEPT) // snapshots.HOURS_PER_DAY * snapshots.HOURS_PER_DAY
        thinned, failed = 0, set[UUID]()
        while True:
            async with self._db.read() as session:
                day, account_ids = await snapshots.list_to_thin(
                    session, before_hour=before, limit=THINNED_AT_ONCE, but=failed
                )
            if not account_ids:
                return thinned
            act = partial(self._thin, day)
            alone = await self._failures.run_bisecting(FailureKind.THINNING, account_ids, act, ids_of=_account_id)
            failed.update(alone)
            thinned += len(account_ids) - len(alone)

    async def _thin(self, day: int, account_ids: Sequence[UUID]) -> None:
        async with self._db.transaction() as session:
            await snapshots.thin(session, day, account_ids)

    def _end_of_hour(self) -> datetime:
        """As good as now, since nothing is later, and the same for all accounts of a page: they share a statement."""
        return self._clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    async def list_points(self, viewer: Viewer, account_ids: Sequence[UUID], period: Period) -> dict[UUID, list[Point]]:
        """The points of each account, oldest first."""
        grouped: dict[UUID, list[Point]] = {}
        for point in await histories.list_points(self._db, viewer.id, account_ids, period):
            grouped.setdefault(point.account_id, []).append(point)
        return grouped

    async def list_growth(self, viewer: Viewer, account_ids: Collection[UUID], days: int) -> dict[UUID, AccountGrowth]:
        """Of each account that has two snapshots in these last days. Raises BadUserInput."""
        if not 1 <= days <= MAX_GROWTH_DAYS:
            raise BadUserInput(f"`days` is from 1 to {MAX_GROWTH_DAYS}.")
        since = self._clock() - timedelta(days=days)
        found = await histories.list_ends(self._db, viewer.id, account_ids, since)
        return {one.account_id: AccountGrowth.between(one.first, one.last) for one in found}


def _account_id(account_id: UUID) -> dict[str, str]:
    return {"account_id": str(account_id)}


def _before(time: datetime, period: timedelta) -> datetime:
    try:
        return time - period
    except OverflowError:
        raise BadUserInput("`to` is too early.") from None
