"""An account's points and its growth: what a few lines of Python make of all snapshots."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.snapshots import hour_of
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.services.history import Growth, HistoryService, StatsGranularity
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running

Counters = dict[datetime, tuple[int | None, int | None, int | None]]

COUNTER = st.none() | st.integers(0, 3) | st.integers(0, 2**53 - 1)
TIME = st.one_of(  # close to each other, at the edges of hours and days, and anywhere
    st.integers(0, 5 * 24 * 4).map(lambda quarters: NOON - timedelta(minutes=15 * quarters)),
    st.integers(0, 6).map(lambda days: NOON - timedelta(days=days)),
    st.integers(0, 120).map(lambda hours: NOON - timedelta(hours=hours, microseconds=1)),
    st.integers(0, 5 * 24 * 3600).map(lambda seconds: NOON - timedelta(seconds=seconds)),
)
SNAPSHOTS = st.dictionaries(TIME, st.tuples(COUNTER, COUNTER, COUNTER), max_size=25)
CUT: dict[StatsGranularity, dict[str, Any]] = {
    StatsGranularity.HOUR: {"minute": 0},
    StatsGranularity.DAY: {"hour": 0, "minute": 0},
}
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def history(running: Running) -> HistoryService:
    return HistoryService(db=running.db, clock=lambda: NOON)


async def recorded(running: Running, viewer: str, taken: Sequence[Counters]) -> list[tuple[Account, list[Snapshot]]]:
    """Accounts with these snapshots, each oldest first."""
    rows = await store(running.db, *[account(viewer, number) for number in range(len(taken))])
    of = [
        (row, [snapshot(row, time, *counters) for time, counters in sorted(s.items())])
        for row, s in zip(rows, taken, strict=True)
    ]
    if everything := [snapshot.model_dump() for _, snapshots in of for snapshot in snapshots]:
        async with running.db.transaction() as session:
            await session.execute(insert(Snapshot), everything)
    return of


def snapshot(row: Account, time: datetime, followers: int | None, likes: int | None, videos: int | None) -> Snapshot:
    counters: dict[str, Any] = {"follower_count": followers, "likes_count": likes, "video_count": videos}
    return Snapshot(viewer_id=row.viewer_id, account_id=row.id, recorded_at=time, hour=hour_of(time), **counters)


def last_of_each(snapshots: list[Snapshot], start: datetime, end: datetime, granularity: StatsGranularity) -> list[Any]:
    cut = CUT[granularity] | {"second": 0, "microsecond": 0}
    within = [snapshot for snapshot in snapshots if start <= snapshot.recorded_at < end]
    return list({one.recorded_at.replace(**cut): one.recorded_at for one in within}.values())


def change(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def growth_since(snapshots: list[Snapshot], since: datetime) -> Growth | None:
    within = [snapshot for snapshot in snapshots if snapshot.recorded_at >= since]
    if len(within) < 2:
        return None
    first, last = within[0], within[-1]
    followers = change(last.follower_count, first.follower_count)
    return Growth(
        since=first.recorded_at,
        follower_change=followers,
        follower_change_rate=followers / first.follower_count
        if followers is not None and first.follower_count
        else None,
        likes_change=change(last.likes_count, first.likes_count),
        video_change=change(last.video_count, first.video_count),
    )


@thorough
@given(
    taken=st.lists(SNAPSHOTS, min_size=1, max_size=3),
    start=TIME,
    end=TIME,
    granularity=st.sampled_from(StatsGranularity),
)
async def test_points_are_the_last_snapshots_of_each_hour_or_day(
    running: Running,
    history: HistoryService,
    taken: list[Counters],
    start: datetime,
    end: datetime,
    granularity: StatsGranularity,
) -> None:
    viewer, end = uuid4().hex, max(start + timedelta(microseconds=1), end)
    of = await recorded(running, viewer, taken)
    period = history.build_period(start, end, granularity)
    found = await history.list_points(Viewer(id=viewer), [row.id for row, _ in of], period)
    for row, snapshots in of:
        points = [one.recorded_at for one in found.get(row.id, [])]
        assert points == last_of_each(snapshots, start, end, granularity)


@thorough
@given(taken=st.lists(SNAPSHOTS, min_size=1, max_size=3), days=st.integers(1, 6))
async def test_growth_is_between_the_first_and_the_last_snapshot_of_these_days(
    running: Running,
    history: HistoryService,
    taken: list[Counters],
    days: int,
) -> None:
    viewer = uuid4().hex
    of = await recorded(running, viewer, taken)
    found = await history.list_growth(Viewer(id=viewer), [row.id for row, _ in of], days)
    for row, snapshots in of:
        assert found.get(row.id) == growth_since(snapshots, NOON - timedelta(days=days))


async def test_another_viewers_snapshots_are_never_shown(
    running: Running, history: HistoryService, viewer: str
) -> None:
    taken: Counters = {NOON - timedelta(hours=hours): (hours, hours, hours) for hours in range(1, 4)}
    [(row, _)] = await recorded(running, viewer, [taken])
    stranger = Viewer(id=f"another than {viewer}")
    period = history.build_period(None, None, StatsGranularity.DAY)
    assert await history.list_points(stranger, [row.id], period) == {}
    assert await history.list_growth(stranger, [row.id], 7) == {}


@pytest.mark.parametrize(("granularity", "hours"), [(StatsGranularity.HOUR, 400), (StatsGranularity.DAY, 400 * 24)])
def test_four_hundred_points_are_allowed_and_not_one_more(
    history: HistoryService, granularity: StatsGranularity, hours: int
) -> None:
    end = NOON.replace(hour=0)
    period = history.build_period(end - timedelta(hours=hours), end, granularity)
    assert (period.start, period.end) == (end - timedelta(hours=hours), end)
    with pytest.raises(BadUserInput, match=f"401 UTC {granularity.name.lower()}s; 400 are allowed"):
        history.build_period(end - timedelta(hours=hours, microseconds=1), end, granularity)
    with pytest.raises(BadUserInput, match="401"):
        history.build_period(end - timedelta(hours=hours), end + timedelta(microseconds=1), granularity)


def test_without_dates_it_is_the_last_thirty_days_to_the_end_of_this_hour(history: HistoryService) -> None:
    period = history.build_period(None, None, StatsGranularity.DAY)
    assert (period.start, period.end) == (NOON + timedelta(hours=1, days=-30), NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOON, NOON),
        (NOON, NOON - timedelta(microseconds=1)),
        (NOON + timedelta(days=1), None),
        (datetime(1, 1, 1, tzinfo=UTC), None),
        (datetime(1, 1, 1, tzinfo=UTC), NOON),
        (None, datetime(1, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
        (None, datetime(1, 1, 2, tzinfo=UTC)),
        (NOON, datetime.max.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), None),
    ],
)
@pytest.mark.parametrize("granularity", StatsGranularity)
def test_a_period_that_is_none_or_too_long_is_a_bad_input(
    history: HistoryService, start: datetime | None, end: datetime | None, granularity: StatsGranularity
) -> None:
    with pytest.raises(BadUserInput):
        history.build_period(start, end, granularity)


@pytest.mark.parametrize("year", [1, 9999])
async def test_the_ends_of_the_calendar_hold_no_points(
    running: Running, history: HistoryService, viewer: str, year: int
) -> None:
    [(row, _)] = await recorded(running, viewer, [{NOON: (1, 1, 1)}])
    start = datetime(year, 6, 1, tzinfo=UTC)
    period = history.build_period(start, start + timedelta(days=200), StatsGranularity.DAY)
    assert await history.list_points(Viewer(id=viewer), [row.id], period) == {}


@pytest.mark.parametrize("days", [0, -1, 366, 2**31 - 1])
async def test_days_out_of_range_are_a_bad_input(history: HistoryService, viewer: str, days: int) -> None:
    with pytest.raises(BadUserInput, match="from 1 to 365"):
        await history.list_growth(Viewer(id=viewer), [uuid4()], days)


def test_an_offset_changes_no_period(history: HistoryService) -> None:
    """Hours and days are those of UTC, however the dates are written."""
    elsewhere = timezone(timedelta(hours=5, minutes=45))
    start, end = NOON - timedelta(hours=400), NOON
    there = history.build_period(start.astimezone(elsewhere), end.astimezone(elsewhere), StatsGranularity.HOUR)
    assert there == history.build_period(start, end, StatsGranularity.HOUR)
