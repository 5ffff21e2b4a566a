"""Cancelled anywhere, an operation is done entirely with its event or not at all, and leaves nothing behind."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from sqlmodel import col

from tests.support.batches import Scene
from tests.support.cancelling import When, cancel_at_every_suspension
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import (
    Account,
    AuditAction,
    AuditEvent,
    PendingRevocation,
    Snapshot,
    SyncJob,
    SyncResult,
    TokenPair,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, JobChanged, hash_viewer
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.connections import CodeExchange
from tiktok_accounts_gql.services.sync.jobs import MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer

_SECOND = timedelta(seconds=1)
ROUNDS = int(os.environ.get("TEST_CLOSING_ROUNDS", "3"))
PAGE = PageRequest(size=20, backward=False, after=None, before=None)

pytestmark = pytest.mark.untraced
whenever = pytest.mark.parametrize("when", When, ids=lambda when: when.value)


class Aftermath:
    """What is left after a cancellation."""

    def __init__(self, scene: Scene, viewer: Viewer) -> None:
        self.scene = scene
        self.running = scene.running
        self.viewer = viewer

    async def is_clean(self) -> None:
        """Nothing is held, and the next call is answered at once."""
        await self.running.services.syncing.settle()
        await self.running.tokens.settle()
        async with asyncio.timeout(5):
            while held(self.running.db):  # noqa: ASYNC110 - what was cancelled gives it back in its own time
                await asyncio.sleep(0.005)
            await self.list()

    async def list(self) -> object:
        return await self.running.services.accounts.list(self.viewer, PAGE, AccountFilter(), AccountOrder())

    async def count(self, what: type[Any], *where: Any) -> int:
        async with self.running.db.read() as session:
            counted = select(func.count()).select_from(what).where(what.viewer_id == self.viewer.id, *where)
            return (await session.execute(counted)).scalar_one()

    async def events(self, action: AuditAction) -> int:
        return await self.count(AuditEvent, col(AuditEvent.action) == action)


def held(db: Database) -> object:
    """Return which connections and locks were not released."""
    pools: list[Any] = [engine.pool for engine in db.engines]
    raw_pool: Any = db._raw_pool
    busy = [pool.checkedout() for pool in pools if pool.checkedout()]
    if hasattr(raw_pool, "_free") and raw_pool._free._value < max(1, 10 // 2):
        busy.append("raw connections")
    if db._writer_lock is not None and db._writer_lock._locked:
        busy.append("writer lock")
    return busy


@pytest_asyncio.fixture
async def after(scene: Scene, viewer: str) -> AsyncGenerator[Aftermath]:
    yield Aftermath(scene, Viewer(id=viewer))


@whenever
async def test_a_list(after: Aftermath, when: When) -> None:
    await after.scene.accounts(after.viewer.id, 3)

    async def after_each(_: int) -> None:
        await after.is_clean()

    assert await cancel_at_every_suspension(after.list, when=when, after_each=after_each) > 1


@whenever
async def test_a_sync(after: Aftermath, when: When) -> None:
    [account] = await after.scene.accounts(after.viewer.id, 1)

    async def after_each(_: int) -> None:
        await after.is_clean()
        synced = await after.events(AuditAction.ACCOUNT_SYNCED)
        assert await after.count(Snapshot) == synced
        assert await after.count(TokenPair, col(TokenPair.reading_id).is_not(None)) == 0
        assert await after.count(TokenPair, col(TokenPair.lease_id).is_not(None)) == 0

    def act() -> Any:
        return after.running.services.syncing.sync(after.viewer, account.id)

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1
    async with asyncio.timeout(5):
        assert (await act()).error is None


@whenever
async def test_a_disconnection(after: Aftermath, when: When) -> None:
    fresh = await after.scene.accounts(after.viewer.id, 1)

    async def after_each(_: int) -> None:
        await after.is_clean()
        gone = await after.count(Account, col(Account.disconnected_at).is_not(None))
        assert await after.events(AuditAction.ACCOUNT_DISCONNECTED) == gone
        assert await after.count(TokenPair) == await after.count(Account) - gone
        [account] = fresh
        revoked = after.scene.sandbox.state.find_grant(account.open_id) is None
        owed = await after.count(PendingRevocation, col(PendingRevocation.account_id) == account.id)
        async with after.running.db.read() as session:
            stored = (await session.scalars(select(Account).where(col(Account.id) == account.id))).one()
        assert (stored.disconnected_at is not None) == (revoked or owed == 1)
        fresh[:] = await after.scene.accounts(after.viewer.id, 1)

    def act() -> Any:
        return after.running.services.accounts.disconnect(after.viewer, fresh[0].id, uuid4().hex)

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1


@whenever
async def test_a_connection(after: Aftermath, tiktok: TikTok, when: When) -> None:
    own = TikTok(sandbox=tiktok.sandbox, settings=after.scene.settings, running=after.running)
    code = [await own.code(f"user-{uuid4().hex}")]

    async def after_each(_: int) -> None:
        await after.is_clean()
        accounts = await after.count(Account)
        assert await after.count(TokenPair) == accounts
        assert await after.events(AuditAction.ACCOUNT_CONNECTED) == accounts
        code[0] = await own.code(f"user-{uuid4().hex}")

    def act() -> Any:
        consent = CodeExchange(code=code[0], redirect_uri=own.redirect_uri)
        return after.running.services.connections.connect(after.viewer, consent)

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1


@whenever
async def test_the_start_of_a_job(after: Aftermath, when: When) -> None:
    await after.scene.accounts(after.viewer.id, 3)
    schema = "dbos." if after.running.db.engines[0].dialect.name == "postgresql" else ""
    works = text(f"SELECT count(*) FROM {schema}workflow_status WHERE workflow_uuid LIKE 'job:%'")

    async def after_each(_: int) -> None:
        await after.is_clean()
        jobs = await after.count(SyncJob)
        assert await after.events(AuditAction.SYNC_JOB_STARTED) == jobs
        assert await after.count(SyncResult) == 3 * jobs
        async with after.running.db.read() as session:
            assert await session.scalar(works) == jobs

    def act() -> Any:
        return after.running.services.jobs.start(after.viewer, MatchingAccounts(filter=AccountFilter()), uuid4().hex)

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1


async def first(changes: Any, tell: Callable[[], object]) -> None:
    """Watches until something happens, which does so soon."""
    async with aclosing(changes):
        asyncio.get_running_loop().call_later(0.001, tell)
        async for _ in changes:
            return


@whenever
async def test_a_subscription_to_accounts(after: Aftermath, when: When, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktok_accounts_gql.services.subscriptions.DEBOUNCE", 0 * _SECOND)
    [account] = await after.scene.accounts(after.viewer.id, 1)
    hub, live = after.running.hub, after.running.services.subscriptions
    event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)

    async def after_each(_: int) -> None:
        assert hub.subscriber_count() == 0
        await after.is_clean()

    def act() -> Any:
        return first(live.watch_accounts(after.viewer), lambda: hub.publish(hash_viewer(after.viewer.id), event))

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1


@whenever
async def test_a_subscription_to_a_job(after: Aftermath, when: When, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktok_accounts_gql.services.subscriptions.UPDATE_INTERVAL", 0.01 * _SECOND)
    await after.scene.accounts(after.viewer.id, 1)
    job = await after.scene.start(after.viewer.id)
    hub, live = after.running.hub, after.running.services.subscriptions

    async def act() -> None:
        """The job as it is, and one look more."""
        changes = await live.watch_job(after.viewer, job.id)
        async with aclosing(changes):
            await anext(changes)
            loop = asyncio.get_running_loop()
            loop.call_later(0.02, hub.publish, hash_viewer(after.viewer.id), JobChanged(job_id=job.id))
            try:
                async with asyncio.timeout(0.2):
                    await anext(changes)
            except TimeoutError:
                return

    async def after_each(_: int) -> None:
        assert hub.subscriber_count() == 0
        await after.is_clean()

    assert await cancel_at_every_suspension(act, when=when, after_each=after_each) > 1


async def test_200_subscriptions_closed_while_events_come_leave_none_watching(
    after: Aftermath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round has its own moment between the event and the end."""
    monkeypatch.setattr("tiktok_accounts_gql.services.subscriptions.UPDATE_INTERVAL", 0 * _SECOND)
    await after.scene.accounts(after.viewer.id, 1)
    job = await after.scene.start(after.viewer.id)
    hub, live = after.running.hub, after.running.services.subscriptions
    for number in range(ROUNDS):
        tasks = [asyncio.create_task(_watch(live, after.viewer, job.id)) for _ in range(200)]
        async with asyncio.timeout(20):
            while hub.subscriber_count() < 200:  # noqa: ASYNC110 - they begin in their own time
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.002 * number)
            hub.publish(hash_viewer(after.viewer.id), JobChanged(job_id=job.id))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert hub.subscriber_count() == 0
    await after.is_clean()


async def _watch(live: Any, viewer: Viewer, job_id: UUID) -> None:
    async with aclosing(await live.watch_job(viewer, job_id)) as changes:
        async for _ in changes:
            pass
