"""The operations that take most of those that are admitted, found by `bench/costliest.py`; and documents that nobody knows.

`make test-slow` searches and attacks for longer.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from bench.costliest import Cost, WatchedLoop, insert_times, measure_cost, run_client, search
from bench.in_process import InProcessClient
from bench.large_viewer import VIEWER, fill, large_viewer_store
from bench.rows import viewer_id
from tests.support.backends import on_sqlite
from tests.support.neighbours import STILL, neighbour
from tests.support.raw import raw, request
from tests.support.server import Api
from tests.support.standstill import collecting_as_a_server
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.responses import MAX_BYTES

pytestmark = [on_sqlite, pytest.mark.untraced]

SECONDS = float(os.environ.get("TEST_COSTLY_SECONDS", "1.5"))
SEARCH_SECONDS = float(os.environ.get("TEST_SEARCH_SECONDS", "3"))
CONNECTIONS = 4
FEW_DAYS = 30  # of readings by the day, before those by the hour: enough for the operations that were found
COSTLIEST: dict[str, str] = json.loads(Path(__file__).with_name("costliest.json").read_text())
ORDINARY = "{ accounts(first: 50) { edges { node { id username displayName status followerCount lastSyncedAt } } } }"
# Measured: 0.7 to 1 times an ordinary list's processor for each point where a plan answers, 2.5 times where it fails and
# graphql-core answers. A request itself costs as much as some points.
MOST_TIMES, REQUEST_POINTS = 6, 20
MOST_STILL = 100  # ms of the processor; 30 were measured at most


def excess(ordinary: Cost, cost_found: Cost) -> float:
    """How many times the processor that its points stand for."""
    return cost_found.processor / (ordinary.per_point * (cost_found.points + REQUEST_POINTS))


def on_a_watched_loop(url: str, work: Callable[[InProcessClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with run_client(url) as process:
            with collecting_as_a_server():
                await work(process)

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(run())


def test_what_takes_most_takes_what_its_points_say(
    own: Settings, record_property: Callable[[str, object], None]
) -> None:
    async def compare(process: InProcessClient) -> None:
        ordinary = await measure_cost(process, ORDINARY, times=5)
        assert ordinary is not None
        for aim, document in COSTLIEST.items():
            cost_found = await measure_cost(process, document)
            assert cost_found is not None, f"{aim}: refused"
            record_property(aim, f"{cost_found}, {excess(ordinary, cost_found):.1f} times")
            assert excess(ordinary, cost_found) < MOST_TIMES, (aim, ordinary, cost_found)
            assert cost_found.longest_block < MOST_STILL, (aim, cost_found)
            assert cost_found.answer < MAX_BYTES

    on_a_watched_loop(own.database_url, compare)


@pytest.mark.proof
def test_a_search_finds_nothing_that_takes_more(
    tmp_path: Path, backend: str, record_property: Callable[[str, object], None]
) -> None:
    async def look(process: InProcessClient) -> None:
        ordinary = await measure_cost(process, ORDINARY, times=5)
        assert ordinary is not None
        for aim, candidates in (await search(process, SEARCH_SECONDS, Random(time.time_ns()))).items():
            for _, operation in candidates[:2]:
                cost_found = await measure_cost(process, str(operation), times=5)
                assert cost_found is not None
                record_property(aim, f"{cost_found}, {excess(ordinary, cost_found):.1f} times: {operation}")
                assert excess(ordinary, cost_found) < MOST_TIMES, (aim, cost_found, str(operation))
                assert cost_found.longest_block < MOST_STILL, (aim, cost_found, str(operation))

    on_a_watched_loop(large_viewer_store(tmp_path), look)


@pytest_asyncio.fixture(scope="module")
async def own(own: Settings) -> AsyncGenerator[Settings]:
    """With the accounts of a viewer who has much."""
    db = Database.open(own.database_url)
    await fill(db, days=FEW_DAYS)
    await db.close()
    yield own


async def attack(api: Api, documents: Iterator[str], until: float) -> int:
    """Asks on one connection, one after the other; how many answers came."""
    attacker = Api(http=api.http, settings=api.settings, viewer=viewer_id(VIEWER))
    head, answers = ("Content-Type: application/json", f"Authorization: Bearer {attacker.token}"), 0
    async with raw(attacker) as connection:
        while time.monotonic() < until:
            body = json.dumps({"query": next(documents)})
            await connection.send(request("POST", "/graphql", *head, body=body))
            answer = await connection.answer()
            assert answer.status == 200, answer
            answers += 1
    return answers


def always(document: str) -> Iterator[str]:
    while True:
        yield insert_times(document)


def never_the_same() -> Iterator[str]:
    """Next to what a document may have: 29 selections to be merged."""
    merged = "edges { node { id username displayName status followerCount likesCount createdAt health { state } } } "
    for number in count(time.time_ns()):
        yield f"query N{number} {{ accounts(first: 1) {{ {merged * 29} }} }}"


@pytest.mark.parametrize(
    ("documents", "connections"),
    [
        pytest.param(always(COSTLIEST["still"]), 1, id="the costliest"),
        pytest.param(never_the_same(), CONNECTIONS, id="new documents"),
    ],
)
async def test_a_neighbour_is_answered_as_before(
    attacked: Api, documents: Iterator[str], connections: int, record_property: Callable[[str, object], None]
) -> None:
    with neighbour(attacked, every=0.02) as watched:
        await asyncio.to_thread(watched.report, at_least=10)
        alone = await asyncio.to_thread(watched.report, at_least=40)
        until = time.monotonic() + SECONDS
        answers = await asyncio.gather(*(attack(attacked, documents, until) for _ in range(connections)))
        beside = await asyncio.to_thread(watched.report, at_least=20)
    record_property("alone", str(alone))
    record_property(f"beside {sum(answers) / SECONDS:.1f} answers a second", str(beside))
    assert min(answers) > 0
    assert alone.failed == beside.failed == 0
    assert beside.p50 < max(2 * alone.p50, 150)
    assert beside.stood_still < STILL
