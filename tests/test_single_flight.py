"""Sharing of one call between concurrent callers."""

import asyncio

import pytest

from tiktok_accounts_gql.single_flight import SingleFlight


async def test_callers_at_the_same_time_share_one_call() -> None:
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    flights: SingleFlight[int] = SingleFlight()
    assert await asyncio.gather(*[flights.run("a", call) for _ in range(5)]) == [1] * 5
    assert await flights.run("a", call) == 2
    assert sorted(await asyncio.gather(flights.run("a", call), flights.run("b", call))) == [4, 4]


async def test_all_callers_get_a_failure_and_the_next_one_tries_again() -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    flights: SingleFlight[int] = SingleFlight()
    outcomes = await asyncio.gather(flights.run("a", fail), flights.run("a", fail), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no", "no"]
    with pytest.raises(ValueError, match="no"):
        await flights.run("a", fail)


async def test_the_call_continues_when_its_caller_is_cancelled() -> None:
    done = asyncio.Event()

    async def call() -> int:
        await asyncio.sleep(0.01)
        done.set()
        return 1

    flights: SingleFlight[int] = SingleFlight()
    caller = asyncio.create_task(flights.run("a", call))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await flights.settle()
    assert done.is_set()
