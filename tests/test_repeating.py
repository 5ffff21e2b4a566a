"""Work that is done again and again ends between two rounds."""

import asyncio
from datetime import timedelta

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.periodic import run_every

LONG = timedelta(hours=1)


async def test_a_round_under_way_ends_before_the_work_does() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        ended.set()

    going_on = asyncio.create_task(run_every(LONG, work))
    await begun.wait()
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    assert ended.is_set()
    assert going_on.cancelled()


async def test_a_failure_is_followed_by_the_next_round_which_a_wake_brings_at_once() -> None:
    rounds, wake, third = [ServiceUnavailable(), RuntimeError("once"), None], asyncio.Event(), asyncio.Event()

    async def work() -> None:
        failure = rounds.pop(0)
        if rounds:
            wake.set()
        if failure is not None:
            raise failure
        third.set()

    going_on = asyncio.create_task(run_every(LONG, work, wake=wake))
    await asyncio.wait_for(third.wait(), 5)
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    assert rounds == []
