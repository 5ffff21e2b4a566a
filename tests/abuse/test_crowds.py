"""More requests at once than can be answered."""

import asyncio
import os
import time

import pytest

from tests.support.backends import on_sqlite
from tests.support.neighbours import STILL, neighbour
from tests.support.raw import raw, request
from tests.support.server import Api

pytestmark = [on_sqlite, pytest.mark.untraced, pytest.mark.proof]

CROWD = int(os.environ.get("TEST_CROWD", "300"))
SECONDS = float(os.environ.get("TEST_CROWD_SECONDS", "3"))
LIST = '{"query": "{ accounts(first: 20) { edges { node { id displayName followerCount } } } }"}'


async def asking(api: Api, until: float) -> int:
    """How many answers one connection gets."""
    head = ("Content-Type: application/json", f"Authorization: Bearer {api.token}")
    asked, answers = request("POST", "/graphql", *head, body=LIST), 0
    async with raw(api) as client:
        while time.monotonic() < until:
            await client.send(asked)
            answer = await client.answer()
            assert answer.status == 200, answer
            answers += 1
    return answers


async def per_second(api: Api, connections: int) -> float:
    until = time.monotonic() + SECONDS
    return sum(await asyncio.gather(*(asking(api, until) for _ in range(connections)))) / SECONDS


async def test_a_crowd_of_one_viewer_leaves_the_neighbour_its_turn(attacked: Api) -> None:
    crowd = Api(http=attacked.http, settings=attacked.settings, viewer="crowd")
    with neighbour(attacked, every=0.02) as watched:
        few = await per_second(crowd, 8)
        alone = await asyncio.to_thread(watched.report)
        many = await per_second(crowd, CROWD)
        beside = await asyncio.to_thread(watched.report)
        await asyncio.sleep(1)
        await asyncio.to_thread(watched.report)
        after = await asyncio.to_thread(watched.report, at_least=50)
    print(f"8: {few:.0f}/s, {alone}\n{CROWD}: {many:.0f}/s, {beside}\nafter: {after}")  # noqa: T201
    assert alone.failed == beside.failed == after.failed == 0
    assert many >= 0.5 * few  # 0.8 by a client that takes no time of the server's: bench/crowd.py
    assert beside.p50 < 0.2 * 1000 * CROWD / many  # in one line with the crowd it would wait as long as each of it
    assert beside.stood_still < STILL
    assert after.p50 < max(20, 3 * alone.p50)
