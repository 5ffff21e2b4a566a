"""Accounts that nobody synced for a while: enqueued once, spread, and tried again later if they fail."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from sqlalchemy import func, select, text, update
from sqlmodel import col

from tests.support.batches import Scene
from tests.support.waiting import until
from tiktok_accounts_gql.background import in_background
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import (
    Account,
    AccountStatus,
    AuditActor,
    AuditEvent,
    RequestQuota,
    SyncJob,
    SyncResult,
)
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND, PROBE_INTERVAL
from tiktok_accounts_gql.services.sync.schedule import JOB_RETENTION
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

DAY = timedelta(hours=24)


@pytest_asyncio.fixture
async def scheduled(own: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    settings = own.model_copy(update={"sync_interval": DAY})
    async with open_services(settings) as running:
        yield Scene(settings=settings, running=running, sandbox=sandbox)
    sandbox.faults.clear()


@asynccontextmanager
async def working(scene: Scene) -> AsyncGenerator[None]:
    """A worker in this process: no test of this module has a server that works too."""
    async with (
        open_services(scene.settings, probe_interval=timedelta(seconds=0.5)) as running,
        in_background(running, scene.settings),
    ):
        yield


async def aged(running: Running, *accounts: Account, by: timedelta, **values: object) -> None:
    """As if they had been synced so long ago, and were due a day after that."""
    values = {"last_synced_at": utc_now() - by, "next_sync_at": utc_now() - by + DAY, **values}
    async with running.db.transaction() as session:
        changed = update(Account).where(col(Account.id).in_([account.id for account in accounts]))
        await session.execute(changed.values(**values))


async def works(running: Running, state: str | None = None) -> int:
    """What the engine has of the schedule."""
    schema = "dbos." if running.db.engines[0].dialect.name == "postgresql" else ""
    where = "workflow_uuid LIKE 'scheduled:%'" + (f" AND status = '{state}'" if state else "")
    async with running.db.read() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {schema}workflow_status WHERE {where}")) or 0)


async def test_what_is_due_is_synced_once_by_the_system(scheduled: Scene, viewer: str) -> None:
    due = await scheduled.accounts(viewer, 5)
    fresh, expired, gone = await scheduled.accounts(viewer, 3)
    await aged(scheduled.running, *due, by=2 * DAY)
    await aged(scheduled.running, fresh, by=DAY / 2)
    await aged(scheduled.running, expired, by=2 * DAY, status=AccountStatus.EXPIRED)
    await aged(scheduled.running, gone, by=2 * DAY, disconnected_at=utc_now())
    async with open_services(scheduled.settings) as second:
        looks = [running.schedule.enqueue_due() for running in (scheduled.running, second) for _ in range(4)]
        assert sum(await asyncio.gather(*looks)) == 5
    assert await works(scheduled.running) == 5
    async with working(scheduled):
        await until(lambda: len(scheduled.calls(due)) == 5)
        await asyncio.sleep(1)
    assert len(scheduled.calls([*due, fresh, expired, gone])) == 5
    assert set((await scheduled.count_syncs(viewer)).keys()) == {account.id for account in due}
    async with scheduled.running.db.read() as session:
        actors = (await session.scalars(select(col(AuditEvent.actor)).where(col(AuditEvent.viewer_id) == viewer))).all()
    assert set(actors) == {AuditActor.SYSTEM}
    assert await scheduled.running.schedule.enqueue_due() == 0


async def test_zero_turns_it_off(scene: Scene, viewer: str) -> None:
    await aged(scene.running, *(await scene.accounts(viewer, 1)), by=30 * DAY)
    assert await scene.running.schedule.enqueue_due() == 0


async def test_what_fails_is_tried_again_later_and_not_every_minute(scheduled: Scene, viewer: str) -> None:
    [account] = await scheduled.accounts(viewer, 1)
    await aged(scheduled.running, account, by=2 * DAY)
    scheduled.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=429, error="rate_limit_exceeded", times=1))
    await scheduled.running.schedule.enqueue_due()
    async with working(scheduled):
        await until(lambda: len(scheduled.calls()) == 1)

        async def has_failed() -> bool:
            [current] = await planned(scheduled.running, viewer)
            return current.consecutive_failures == 1

        await until(has_failed)
        [failed] = await planned(scheduled.running, viewer)
        assert failed.next_sync_at == failed.next_retry_at  # and lies ahead
        assert await scheduled.running.schedule.enqueue_due() == 0
        await aged(scheduled.running, account, by=2 * DAY)
        assert await scheduled.running.schedule.enqueue_due() == 1
        await until(lambda: len(scheduled.calls()) == 2)
    assert [call.error for call in scheduled.calls()] == ["rate_limit_exceeded", None]


async def test_an_outage_takes_no_account_off_the_schedule(scheduled: Scene, viewer: str) -> None:
    accounts = await scheduled.accounts(viewer, 8)
    await aged(scheduled.running, *accounts, by=2 * DAY)
    scheduled.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
    await scheduled.running.schedule.enqueue_due()
    async with working(scheduled):
        await until(lambda: len(scheduled.calls()) > 8)
        scheduled.sandbox.faults.clear()
        await aged(scheduled.running, *accounts, by=2 * DAY)
        await scheduled.running.schedule.enqueue_due()  # as the next minute would
        await until(
            lambda: {call.open_id for call in scheduled.calls() if call.error is None} == set(open_ids(accounts))
        )


async def test_what_waits_for_tiktok_when_the_process_ends_is_enqueued_again(scheduled: Scene, viewer: str) -> None:
    [account] = await scheduled.accounts(viewer, 1)
    await aged(scheduled.running, account, by=2 * DAY)
    await scheduled.running.reader.limiter.acquire(BACKGROUND)  # there is a row from now on
    async with scheduled.running.db.transaction() as session:
        down = update(RequestQuota).values(closed_until=utc_now() + PROBE_INTERVAL, failures=5)
        await session.execute(down)
    before, known = len(scheduled.calls()), await works(scheduled.running)
    performing = asyncio.create_task(scheduled.running.schedule.sync_scheduled(viewer, str(account.id)))
    await asyncio.sleep(0.3)
    assert not performing.done()
    scheduled.running.reader.stop()
    async with asyncio.timeout(5):
        await performing
    assert len(scheduled.calls()) == before
    assert await works(scheduled.running) == known + 1


async def planned(running: Running, viewer: str) -> list[Account]:
    async with running.db.read() as session:
        return list(await session.scalars(select(Account).where(col(Account.viewer_id) == viewer)))


def open_ids(accounts: list[Account]) -> list[str]:
    return [account.open_id for account in accounts]


async def test_jobs_are_forgotten_30_days_after_their_end(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 2)
    old, new = await scene.start(viewer), await scene.start(viewer)
    async with working(scene):
        for job in (old, new):
            await scene.wait_until_ended(job, seconds=20)
    async with scene.running.db.transaction() as session:
        ended = update(SyncJob).where(col(SyncJob.id) == old.id)
        await session.execute(ended.values(finished_at=utc_now() - JOB_RETENTION - timedelta(minutes=1)))
    assert await scene.running.schedule.prune() == 1
    assert await scene.running.schedule.prune() == 0
    async with scene.running.db.read() as session:
        assert (await session.scalars(select(col(SyncJob.id)))).all() == [new.id]
        assert await session.scalar(select(func.count()).select_from(SyncResult)) == 2


async def test_the_engine_forgets_work_that_ended_a_day_ago(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 3)
    schema = "dbos." if scene.running.db.engines[0].dialect.name == "postgresql" else ""
    table = f"{schema}workflow_status"

    async def count_ended() -> int:
        ended = text(f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'")
        async with scene.running.db.read() as session:
            return int(await session.scalar(ended) or 0)

    async def has_all() -> bool:
        return await count_ended() == 4  # three accounts, and what enqueued them

    async def has_one() -> bool:
        return await count_ended() == 1

    async with working(scene):
        await scene.wait_until_ended(await scene.start(viewer), seconds=20)
        await until(has_all)
    two_days_ago = int((datetime.now(UTC) - 2 * DAY).timestamp() * 1000)
    async with scene.running.db.transaction() as session:
        await session.execute(
            text(f"UPDATE {table} SET completed_at = {two_days_ago} WHERE workflow_uuid LIKE 'sync:%'")
        )
    async with working(scene):  # prunes when it starts
        await until(has_one)
