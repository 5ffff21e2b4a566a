"""What all tests of this folder rely on: a neighbour notices what happens to it."""

import asyncio
import time

from tests.support.neighbours import neighbour
from tests.support.server import Api


async def test_a_neighbour_notices_that_the_loop_stands_still(api: Api) -> None:
    with neighbour(api) as watched:
        before = await asyncio.to_thread(watched.report, at_least=20)
        time.sleep(0.5)  # noqa: ASYNC251 - the server of this fixture is on the loop of the test
        after = await asyncio.to_thread(watched.report, at_least=20)
    assert (before.failed, after.failed) == (0, 0)
    assert before.asked >= 20
    assert after.slowest >= 400
    assert after.stood_still >= 400
    assert before.p50 < 400
