"""Every account has the time of its next sync: spread over the interval, by index, and pushed back whatever fails."""

from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import func, select
from sqlmodel import col

from tests.support import rows
from tests.support.batches import Scene
from tests.support.breaking import literal, refuse
from tests.support.schedules import FakeClock, ScheduleScene
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, AccountStatus
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.failures import FailureKind
from tiktok_accounts_gql.services.sync.schedule import BATCH
from tiktok_accounts_gql.services.sync.sync_times import SPREAD, SyncTimes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import open_services

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def timed(own: Settings, sandbox: Sandbox) -> AsyncGenerator[ScheduleScene]:
    clock, failures = FakeClock(utc_now()), Counter[FailureKind]()
    settings = own.model_copy(update={"sync_interval": DAY})
    async with open_services(settings, clock=clock, count_failure=lambda kind: failures.update([kind])) as running:
        yield ScheduleScene(settings=settings, running=running, sandbox=sandbox, clock=clock, failures=failures)
    sandbox.faults.clear()


async def test_accounts_synced_together_are_spread_evenly_after_three_intervals(
    timed: ScheduleScene, viewer: str
) -> None:
    """By the schedule's own claims, minute by minute where something is due, without waiting for it."""
    times = SyncTimes(interval=DAY)
    new = [rows.account(viewer, number, open_id=f"open-{number}") for number in range(2000)]
    for account in new:
        account.next_sync_at = times.after_sync(account.open_id, timed.clock.now)
    await rows.store(timed.running.db, *new)
    end = timed.clock.now + 3 * DAY
    while timed.clock.now < end:
        async with timed.running.db.transaction() as session:  # what their work would do, an hour at once
            due = (await session.scalars(select(Account).where(col(Account.next_sync_at) <= timed.clock.now))).all()
            for account in due:
                assert account.next_sync_at is not None
                account.next_sync_at = times.after_sync(account.open_id, account.next_sync_at)
        timed.clock.now += timedelta(hours=1)
    placed = await timed.stored()
    tenths = Counter(int((account.next_sync_at - end) / DAY % 1 * 10) for account in placed if account.next_sync_at)
    assert len(tenths) == 10
    assert all(abs(count - 200) <= 40 for count in tenths.values()), tenths


def test_the_next_sync_lies_an_interval_ahead_give_or_take_a_fifth() -> None:
    for interval in (timedelta(seconds=60), timedelta(hours=1), DAY, timedelta(days=30)):
        times = SyncTimes(interval=interval)
        for number in range(200):
            now = utc_now() + number * interval / 7
            ahead = times.after_sync(f"open-{number}", now)
            assert ahead is not None
            assert interval * (1 - SPREAD) <= ahead - now <= interval * (1 + SPREAD)
            within = times.within_interval(f"open-{number}", now)
            assert within is not None
            assert timedelta(0) <= within - now <= interval


async def test_a_new_account_is_due_after_its_connection_and_the_spread(
    timed: ScheduleScene, tiktok: TikTok, viewer: str
) -> None:
    own = TikTok(sandbox=tiktok.sandbox, settings=timed.settings, running=timed.running)
    account = await own.connect(viewer)
    assert account.next_sync_at is not None
    assert DAY * (1 - SPREAD) <= account.next_sync_at - timed.clock.now <= DAY * (1 + SPREAD)


async def test_one_that_could_not_be_read_when_it_was_connected_is_due_soon(
    timed: ScheduleScene, tiktok: TikTok, viewer: str
) -> None:
    own = TikTok(sandbox=tiktok.sandbox, settings=timed.settings, running=timed.running)
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id="unread", status=500))
    account = await own.connect(viewer, "unread")
    assert account.last_synced_at is None
    assert account.next_sync_at is not None
    assert account.next_sync_at - timed.clock.now <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fault", "at_retry"),
    [
        ({}, False),
        ({"status": 429, "error": "rate_limit_exceeded"}, True),
        ({"status": 503}, True),
        ({"status": 400, "error": "invalid_params"}, True),
        ({"status": 401, "error": "scope_not_authorized"}, False),
    ],
    ids=["works", "rate limited", "unavailable", "refused", "scope missing"],
)
async def test_whatever_syncs_sets_the_next_time(
    timed: ScheduleScene, viewer: str, fault: dict[str, object], at_retry: bool
) -> None:
    [account] = await timed.accounts(viewer, 1)
    if fault:
        timed.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, **fault))  # type: ignore[arg-type]
    await timed.running.services.syncing.sync(Viewer(id=viewer), account.id)
    [now] = await timed.stored()
    assert now.next_sync_at is not None
    if at_retry:
        assert now.next_sync_at == now.next_retry_at
    else:
        assert DAY * (1 - SPREAD) <= now.next_sync_at - timed.clock.now <= DAY * (1 + SPREAD)


@pytest.mark.parametrize(
    "gone",
    [
        {"disconnected_at": utc_now()},
        {"status": AccountStatus.EXPIRED},
        {"status": AccountStatus.INACTIVE},
    ],
    ids=["disconnected", "expired", "inactive"],
)
async def test_what_cannot_be_synced_is_never_due_until_it_comes_back(
    timed: ScheduleScene, viewer: str, gone: dict[str, object]
) -> None:
    [account] = await timed.accounts(viewer, 1)
    await timed.change(account, next_sync_at=timed.clock.now - DAY, **gone)
    assert await timed.running.schedule.enqueue_due() == 0
    await timed.change(account, disconnected_at=None, status=AccountStatus.ACTIVE)
    assert await timed.running.schedule.enqueue_due() == 1
    assert await timed.running.schedule.enqueue_due() == 0


async def test_more_than_a_batch_is_enqueued_at_one_look_oldest_first(timed: ScheduleScene, viewer: str) -> None:
    new = [rows.account(viewer, n, next_sync_at=timed.clock.now - timedelta(minutes=n)) for n in range(2 * BATCH + 1)]
    await rows.store(timed.running.db, *new)
    assert await timed.running.schedule.enqueue_due() == len(new)
    assert set((await timed.enqueued()).values()) == {1}
    left = await timed.stored(col(Account.next_sync_at) <= timed.clock.now)
    assert left == []


async def test_an_account_without_a_time_gets_one_within_an_interval(timed: ScheduleScene, viewer: str) -> None:
    """Written by the version before, or while the schedule was off."""
    await rows.store(timed.running.db, *[rows.account(viewer, n) for n in range(200)])
    assert await timed.running.schedule.enqueue_due() <= 1
    times = [account.next_sync_at for account in await timed.stored()]
    ahead = [time - timed.clock.now for time in times if time]
    assert len(ahead) == 200
    assert max(ahead) > 0.9 * DAY
    assert min(ahead) < 0.1 * DAY


@pytest.mark.parametrize("before", [timedelta(days=30), timedelta(days=3)])
async def test_a_shorter_interval_holds_for_what_was_planned_before(
    timed: ScheduleScene, viewer: str, before: timedelta
) -> None:
    times = SyncTimes(interval=before)
    new = [rows.account(viewer, n) for n in range(200)]
    for account in new:
        account.next_sync_at = times.after_sync(account.open_id, timed.clock.now)
    await rows.store(timed.running.db, *new)
    await timed.running.schedule.enqueue_due()
    ahead = [account.next_sync_at - timed.clock.now for account in await timed.stored() if account.next_sync_at]
    assert max(ahead) <= DAY * (1 + SPREAD) + timedelta(minutes=1)
    assert len({time // (DAY / 10) for time in ahead}) >= 10


async def test_a_retry_that_tiktok_asked_for_is_not_moved(timed: ScheduleScene, viewer: str) -> None:
    settings = timed.settings.model_copy(update={"sync_interval": timedelta(hours=1)})
    retry = timed.clock.now + timedelta(hours=5)
    await rows.store(timed.running.db, rows.account(viewer, next_sync_at=retry, next_retry_at=retry))
    async with open_services(settings, clock=timed.clock) as hourly:
        assert await hourly.schedule.enqueue_due() == 0
    [account] = await timed.stored()
    assert account.next_sync_at == retry


async def test_when_it_is_off_nothing_is_planned_and_nothing_due(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    await scene.running.services.syncing.sync(Viewer(id=viewer), account.id)
    async with scene.running.db.read() as session:
        assert await session.scalar(select(func.count()).where(col(Account.next_sync_at).is_not(None))) == 0
    assert await scene.running.schedule.enqueue_due() == 0


@pytest.mark.parametrize("change", ["UPDATE accounts", "INSERT workflow_status"])
async def test_accounts_that_cannot_be_enqueued_starve_no_other(timed: ScheduleScene, viewer: str, change: str) -> None:
    new = [rows.account(viewer, n, next_sync_at=timed.clock.now - timedelta(minutes=200 - n)) for n in range(110)]
    broken, fine = new[: BATCH + 5], new[BATCH + 5 :]
    await rows.store(timed.running.db, *new)
    verb, table = change.split()
    db = timed.running.db
    postgresql = db.engines[0].dialect.name == "postgresql"
    for account in broken[::50]:  # the first and some behind it
        if table == "accounts":
            await refuse(db, verb, table, f"NEW.id = {literal(db, account.id)}")
        else:
            table = "dbos.workflow_status" if postgresql else table
            await refuse(db, verb, table, f"NEW.workflow_uuid LIKE 'scheduled:{account.id}:%'")
    count = len(broken[::50])
    if table == "accounts":
        await timed.running.schedule.enqueue_due()  # raises nothing, and what can be pushed back is
    else:
        assert await timed.running.schedule.enqueue_due() == len(new) - count
        assert await timed.running.schedule.enqueue_due() == 0
    assert {str(account.id) for account in fine} <= set(await timed.enqueued())
    assert timed.failures[FailureKind.SCHEDULE] >= count


async def test_200_accounts_that_fail_unexpectedly_starve_nobody(timed: ScheduleScene, viewer: str) -> None:
    """Their work fails in a way that no code knows: the database refuses their snapshots."""
    accounts = await timed.accounts(viewer, 7)
    broken, fine = accounts[:5], accounts[5:]
    long_ago = timed.clock.now - DAY
    await rows.store(timed.running.db, *[rows.account(viewer, n, next_sync_at=long_ago) for n in range(195)])
    db = timed.running.db
    names = ", ".join(literal(db, account.id) for account in fine)
    await refuse(db, "INSERT", "snapshots", f"NEW.account_id NOT IN ({names})")
    for number, account in enumerate(accounts):
        await timed.change(account, next_sync_at=timed.clock.now - timedelta(minutes=300 - number))
    assert await timed.running.schedule.enqueue_due() == 202
    for account in (*broken, *fine):
        await timed.running.schedule.sync_scheduled(viewer, str(account.id))
    by_id = {account.id: account for account in await timed.stored()}
    assert all(by_id[account.id].last_synced_at for account in fine)
    for account in broken:
        next_sync_at = by_id[account.id].next_sync_at
        assert next_sync_at is not None
        assert next_sync_at == timed.clock.now + timedelta(hours=1)
    assert timed.failures[FailureKind.SCHEDULED_SYNC] == 5
    assert await timed.running.schedule.enqueue_due() == 0
