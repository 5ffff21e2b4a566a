"""Callers take turns, and who gives up costs nobody a turn."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tiktok_accounts_gql.fair_queue import FairLock, FairQueue, LockTimeout


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Room:
    """A lock and those who ask for it, in the order in which they got it."""

    def __init__(self) -> None:
        self.lock = FairLock()
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.doors: dict[str, asyncio.Event] = {}

    async def ask(self, *names: str, key: str, deadline: float | None = None) -> None:
        for name in names:
            self.doors[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._enter(name, key, deadline))
            await settled()

    async def leave(self, name: str) -> None:
        self.doors[name].set()
        await settled()

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


async def test_keys_take_turns_and_each_keeps_its_order(room: Room) -> None:
    await room.ask("a1", "a2", "a3", "a4", key="a")
    await room.ask("b1", "b2", key="b")
    await room.ask("c1", key="c")
    for name in ("a1", "a2", "b1", "c1", "a3", "b2"):
        assert room.entered[-1] == name
        await room.leave(name)
    assert room.entered[-1] == "a4"


async def test_it_counts_who_comes_first(room: Room) -> None:
    await room.ask(*(f"a{number}" for number in range(6)), key="a")  # one of them has the lock
    await room.ask("b1", "b2", key="b")
    assert [room.lock.count_ahead(key) for key in ("a", "b", "new")] == [1 + 5 + 2, 1 + 2 + 2, 1]


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("cancelled", [["b1"], ["b1", "b2"], ["a2", "b1"]], ids="-".join)
async def test_a_turn_that_comes_to_who_is_cancelled_goes_to_the_next(
    room: Room, steps: int, cancelled: list[str]
) -> None:
    """At every step between the end of the one that has it and the start of the one that waits."""
    await room.ask("a1", key="a")
    await room.ask("b1", "b2", key="b")
    await room.ask("a2", "a3", key="a")
    room.doors["a1"].set()
    for _ in range(steps):
        await asyncio.sleep(0)
    for name in cancelled:
        room.tasks[name].cancel()
    await settled()
    for name in ("b2", "a2", "a3"):
        await room.leave(name)
    assert {"b2", "a2", "a3"} - set(cancelled) <= set(room.entered)
    assert not room.lock.is_held
    await room.ask("last", key="a")
    assert room.entered[-1] == "last"


async def test_a_place_that_is_given_up_costs_its_line_no_turn(room: Room) -> None:
    await room.ask("a1", "a2", "a3", key="a")
    await room.ask("b1", "b2", key="b")
    await room.leave("a1")
    room.tasks["b1"].cancel()
    await settled()
    await room.leave("a2")
    assert room.entered[-1] == "b2"


async def test_a_place_that_is_done_already_costs_its_line_no_turn_either() -> None:
    queue: FairQueue[None] = FairQueue()
    given_up, theirs, mine = queue.join("b"), queue.join("b"), queue.join("a")
    given_up.set_result(None)
    assert [queue.next(), queue.next(), queue.next()] == [theirs, mine, None]
    assert queue.length == 0


async def test_who_waits_for_too_long_is_told_and_holds_nobody_up(room: Room) -> None:
    soon = asyncio.get_running_loop().time() + 0.02
    await room.ask("a1", key="a")
    await room.ask("b1", key="b", deadline=soon)
    await room.ask("c1", key="c")
    with pytest.raises(LockTimeout):
        await asyncio.wait_for(room.tasks["b1"], 5)
    assert room.lock.count_ahead("b") == 1
    await room.leave("a1")
    assert room.entered == ["a1", "c1"]
