"""While a reading waits for the quota: nobody stands behind it, and nothing is read twice."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest_asyncio
from sqlalchemy import update

from tests.support.batches import Scene
from tests.support.waiting import until
from tiktok_accounts_gql.db import token_pairs
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, JobState, RequestQuota
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.service_builders import SYNC_LEASE_MARGIN
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

TIMEOUT = 0.5
LEASE = timedelta(seconds=TIMEOUT) + SYNC_LEASE_MARGIN


@pytest_asyncio.fixture
async def slow(own: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    """One reading in a good second."""
    settings = own.model_copy(update={"tiktok_requests_per_minute": 60, "tiktok_timeout_seconds": TIMEOUT})
    async with open_services(settings) as running:
        yield Scene(settings=settings, running=running, sandbox=sandbox)


@pytest_asyncio.fixture
async def another(slow: Scene) -> AsyncGenerator[Running]:
    """Services of a second process, as it were."""
    async with open_services(slow.settings) as running:
        yield running


async def next_turn_in(running: Running, time: timedelta) -> None:
    async with running.db.transaction() as session:
        later = update(RequestQuota).values(next_at=FromNow(time.total_seconds()))
        await session.execute(later.execution_options(synchronize_session=False))


async def exhausted(scene: Scene, viewer: str, time: timedelta) -> Account:
    """An account, with nobody's turn before so long."""
    account, other = await scene.accounts(viewer, 2)
    await scene.running.services.syncing.sync(Viewer(id=viewer), other.id)
    await next_turn_in(scene.running, time)
    return account


async def test_work_that_waits_for_its_turn_holds_nothing(slow: Scene, another: Running, viewer: str) -> None:
    account = await exhausted(slow, viewer, timedelta(seconds=3))
    job = await slow.start(viewer, [account.id])
    performing = asyncio.create_task(slow.run(job))
    await slow.wait_until_started(job)
    await until(lambda: slow.running.reader.limiter.background_queue.lock.is_held)
    async with slow.running.db.read() as session:
        pair = await token_pairs.find(session, viewer, account.id)
    assert pair is not None
    assert pair.reading_id is None
    synced = await another.services.syncing.sync(Viewer(id=viewer), account.id)
    assert synced.error is None
    await performing
    assert (await slow.job(job)).state is JobState.SUCCEEDED
    assert len(slow.calls([account])) == 1


async def test_two_jobs_that_wait_for_longer_than_a_lease_read_once(slow: Scene, another: Running, viewer: str) -> None:
    account = await exhausted(slow, viewer, LEASE + timedelta(seconds=1))
    jobs = [await slow.start(viewer, [account.id]) for _ in range(2)]
    elsewhere = Scene(settings=slow.settings, running=another, sandbox=slow.sandbox)
    await asyncio.gather(slow.run(jobs[0]), elsewhere.run(jobs[1]))
    assert [(await slow.job(job)).state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert len(slow.calls([account])) == 1


async def test_a_user_who_waits_for_longer_than_a_lease_keeps_it(slow: Scene, another: Running, viewer: str) -> None:
    account = await exhausted(slow, viewer, LEASE + timedelta(seconds=1))
    owner = Viewer(id=viewer)
    first, second = await asyncio.gather(
        slow.running.services.syncing.sync(owner, account.id), another.services.syncing.sync(owner, account.id)
    )
    assert (first.error, second.error) == (None, None)
    assert len(slow.calls([account])) == 1
