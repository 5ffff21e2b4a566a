"""fair_queue.py: keys are served round robin, and a caller that gives up costs no other caller its place."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tiktok_accounts_gql.fair_queue import FairLock, FairQueue, LockTimeout


async def run_loop() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class Room:
    """A lock, and the callers that acquire it. `entered`: their names in the order in which they held it."""

    def __init__(self) -> None:
        self.lock = FairLock()
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.doors: dict[str, asyncio.Event] = {}

    async def acquire(self, *names: str, key: str, deadline: float | None = None) -> None:
        for name in names:
            self.doors[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._enter(name, key, deadline))
            await run_loop()

    async def release(self, name: str) -> None:
        self.doors[name].set()
        await run_loop()

    async def _enter(self, name: str, key: str, deadline: float | None) -> None:
        async with self.lock.hold(key, deadline=deadline):
            self.entered.append(name)
            await self.doors[name].wait()


@pytest_asyncio.fixture
async def room() -> AsyncGenerator[Room]:
    room = Room()
    yield room
    for task in room.tasks.values():
        task.cancel()
    await asyncio.gather(*room.tasks.values(), return_exceptions=True)


async def test_keys_are_served_round_robin_and_each_in_its_order(room: Room) -> None:
    await room.acquire("a1", "a2", "a3", "a4", key="a")
    await room.acquire("b1", "b2", key="b")
    await room.acquire("c1", key="c")
    for name in ("a1", "a2", "b1", "c1", "a3", "b2"):
        assert room.entered[-1] == name
        await room.release(name)
    assert room.entered[-1] == "a4"


async def test_it_counts_the_callers_ahead(room: Room) -> None:
    await room.acquire(*(f"a{number}" for number in range(6)), key="a")  # one of them has the lock
    await room.acquire("b1", "b2", key="b")
    assert [room.lock.count_ahead(key) for key in ("a", "b", "new")] == [1 + 5 + 2, 1 + 2 + 2, 1]


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("cancelled", [["b1"], ["b1", "b2"], ["a2", "b1"]], ids="-".join)
async def test_a_lock_handed_to_a_cancelled_caller_goes_to_the_next(
    room: Room, steps: int, cancelled: list[str]
) -> None:
    """At every step of the loop between the release by the holder and the start of the caller that waits."""
    await room.acquire("a1", key="a")
    await room.acquire("b1", "b2", key="b")
    await room.acquire("a2", "a3", key="a")
    room.doors["a1"].set()
    for _ in range(steps):
        await asyncio.sleep(0)
    for name in cancelled:
        room.tasks[name].cancel()
    await run_loop()
    for name in ("b2", "a2", "a3"):
        await room.release(name)
    assert {"b2", "a2", "a3"} - set(cancelled) <= set(room.entered)
    assert not room.lock.is_held
    await room.acquire("last", key="a")
    assert room.entered[-1] == "last"


async def test_a_place_that_is_given_up_does_not_cost_its_key_a_turn(room: Room) -> None:
    await room.acquire("a1", "a2", "a3", key="a")
    await room.acquire("b1", "b2", key="b")
    await room.release("a1")
    room.tasks["b1"].cancel()
    await run_loop()
    await room.release("a2")
    assert room.entered[-1] == "b2"


async def test_a_place_that_is_done_already_is_skipped() -> None:
    queue: FairQueue[None] = FairQueue()
    given_up, other, first = queue.join("b"), queue.join("b"), queue.join("a")
    given_up.set_result(None)
    assert [queue.next(), queue.next(), queue.next()] == [other, first, None]
    assert queue.length == 0


async def test_a_caller_that_waits_past_its_deadline_fails_and_blocks_no_other(room: Room) -> None:
    soon = asyncio.get_running_loop().time() + 0.02
    await room.acquire("a1", key="a")
    await room.acquire("b1", key="b", deadline=soon)
    await room.acquire("c1", key="c")
    with pytest.raises(LockTimeout):
        await asyncio.wait_for(room.tasks["b1"], 5)
    assert room.lock.count_ahead("b") == 1
    await room.release("a1")
    assert room.entered == ["a1", "c1"]
