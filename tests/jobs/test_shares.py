"""A viewer who asks for syncs without end leaves others their share of TikTok's quota; alone, a viewer has all of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio

from tests.support.batches import Scene
from tests.support.slots import set_row
from tests.support.waiting import until
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.quota import Endpoint
from tiktok_accounts_gql.services import rate_limit_queues, rate_limiter
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND, CallPolicy
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import CircuitOpen, QuotaExhausted
from tiktok_accounts_gql.wiring import open_services

pytestmark = pytest.mark.proof

PER_MINUTE = 1200
INTERVAL = rate_limiter.build_rate_limit(PER_MINUTE, failures=5).interval.total_seconds()  # some 50 ms
BOOKED = rate_limit_queues.USER_LEAD.total_seconds() / INTERVAL  # that are taken already when somebody comes
FEW = BOOKED + 6
FLOOD = 200
FULL = 13.0  # seconds: further ahead than a user waits for


@pytest_asyncio.fixture
async def limited(shared_scene: Scene) -> AsyncGenerator[Scene]:
    """A quota with no burst left, which nobody uses."""
    async with second(shared_scene) as scene:
        await no_burst(scene)
        yield scene
        await set_row(scene.running, Endpoint.USER_INFO, next_at=FULL)  # what still waits is told so, and ends


@asynccontextmanager
async def second(scene: Scene) -> AsyncGenerator[Scene]:
    """Another process, as it were."""
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": PER_MINUTE})
    async with open_services(settings) as running:
        yield Scene(settings=settings, running=running, sandbox=scene.sandbox)


async def no_burst(scene: Scene) -> None:
    await set_row(scene.running, Endpoint.USER_INFO, next_at=0)


def sync(scene: Scene, account: Account) -> "asyncio.Task[SyncedAccount]":
    return asyncio.create_task(scene.running.services.syncing.sync(Viewer(id=account.viewer_id), account.id))


def flood(scene: Scene, accounts: Sequence[Account]) -> "list[asyncio.Task[SyncedAccount]]":
    return [sync(scene, account) for account in accounts]


@pytest.mark.parametrize("where", ["the same process", "another process"])
async def test_a_viewer_with_two_hundred_syncs_delays_another_viewer_by_a_few_slots(
    limited: Scene, viewer: str, where: str
) -> None:
    accounts, [mine] = await limited.accounts(viewer, FLOOD), await limited.accounts(f"mine-{viewer}", 1)
    async with second(limited) as other:
        await no_burst(limited)
        flooding = flood(limited, accounts)
        await until(lambda: limited.running.reader.limiter.user_queue.lock.count_ahead(viewer) >= FLOOD / 2)
        before = len(limited.calls(accounts))
        async with asyncio.timeout(10):
            synced = await sync(limited if where == "the same process" else other, mine)
        assert (synced.error, synced.is_attempted) == (None, True)
        assert len(limited.calls(accounts)) - before <= FEW
        await set_row(limited.running, Endpoint.USER_INFO, next_at=FULL)
        assert len(await asyncio.gather(*flooding)) == FLOOD


# Slots alone: what viewers get who ask without end


class Crowd:
    """Acquires slots for viewers. `served`: viewers in the order of their slots; `refused`: the pauses that others were told."""

    def __init__(self, scene: Scene) -> None:
        self.running = scene.running
        self.limiter = scene.running.reader.limiter
        self.served: list[str] = []
        self.refused: list[float] = []

    async def acquire(self, viewer_id: str) -> None:
        try:
            await self.limiter.acquire(CallPolicy(viewer_id=viewer_id))
        except QuotaExhausted as error:
            self.refused.append(error.retry_after or 0)
        else:
            self.served.append(viewer_id)

    def start(self, viewer_id: str, count: int) -> "list[asyncio.Task[None]]":
        return [asyncio.create_task(self.acquire(viewer_id)) for _ in range(count)]


@pytest.fixture
def crowd(limited: Scene) -> Crowd:
    return Crowd(limited)


async def test_viewers_beside_each_other_get_about_as_much(crowd: Crowd) -> None:
    taking = crowd.start("first", 60) + crowd.start("second", 60) + crowd.start("third", 60)
    await until(lambda: len(crowd.served) >= 31)
    assert all(9 <= crowd.served[:31].count(viewer_id) <= 12 for viewer_id in ("first", "second", "third")), (
        crowd.served
    )
    await end(taking)


async def test_a_viewer_alone_has_the_whole_quota(crowd: Crowd) -> None:
    taking = crowd.start("alone", 41)
    await until(lambda: len(crowd.served) >= 11)
    started_at = time.monotonic()
    await asyncio.gather(*taking)
    assert time.monotonic() - started_at <= 30 * INTERVAL * 1.3


async def test_who_gives_up_loses_nobody_a_turn(crowd: Crowd) -> None:
    first, second = crowd.start("first", 30), crowd.start("second", 30)
    await until(lambda: len(crowd.served) >= 3)
    await end(first + second[:20])
    async with asyncio.timeout(10):
        await asyncio.gather(*second[20:], *crowd.start("third", 2))
    assert crowd.served.count("third") == 2
    assert not crowd.limiter.user_queue.lock.is_held


async def test_what_cannot_come_in_time_is_told_at_once(crowd: Crowd) -> None:
    """As before turns were taken: beyond ten seconds' worth of slots."""
    taking = crowd.start("first", 300)
    await until(lambda: len(crowd.served) >= 1)
    more = crowd.start("first", 20)
    await asyncio.wait(more, timeout=5)
    assert len(crowd.refused) == len([one for one in taking + more if one.done()]) - len(crowd.served) >= 20
    assert all(0 < seconds < 10 for seconds in crowd.refused)
    await crowd.acquire("second")
    assert crowd.served[-1] == "second"
    await end(taking)


async def test_who_waited_for_too_long_is_told_when_to_try_again(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "LONGEST_USER_WAIT", timedelta(seconds=0.4))
    taking = crowd.start("first", 100)
    await asyncio.wait(taking, timeout=5)
    assert len(crowd.served) + len(crowd.refused) == 100
    assert crowd.served
    assert all(seconds > 0 for seconds in crowd.refused)


async def test_an_outage_is_told_to_everybody_who_waits_and_blocks_nobody_afterwards(crowd: Crowd) -> None:
    await set_row(crowd.running, Endpoint.USER_INFO, closed_until=9)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*crowd.start("first", 3), *crowd.start("second", 3), return_exceptions=True)
    assert [type(one) for one in outcomes] == [CircuitOpen] * 6
    await set_row(crowd.running, Endpoint.USER_INFO, closed_until=None)
    await crowd.acquire("first")
    assert crowd.served == ["first"]


async def test_work_in_the_background_gets_on_beside_a_viewer_without_end(crowd: Crowd, limited: Scene) -> None:
    async with second(limited) as worker:
        taking = crowd.start("first", 150)
        await until(lambda: len(crowd.served) >= 10)
        before = len(crowd.served)
        async with asyncio.timeout(10):
            for _ in range(10):
                await worker.running.reader.limiter.acquire(BACKGROUND)
        assert len(crowd.served) - before <= 40
        await end(taking)


async def end(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
