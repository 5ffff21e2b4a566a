"""The quick path of `make bench` fills a database as the services would have."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from bench.ours import bench_settings
from bench.rows import Population, viewer_id
from bench.stores import postgres_store, sqlite_store
from tests.support.databases import drop_database, postgres_url
from tests.support.server import Api, serving

POPULATION = Population(name="of_a_test", sizes=(3, 70))
ASKED = """query Seeded($expired: AccountFilter!) {
  accountsSummary { totalAccounts activeAccounts expiredAccounts totalVideos }
  accounts(first: 50) { totalCount pageInfo { hasNextPage } edges { node { id } } }
  expired: accounts(first: 50, filter: $expired) { totalCount edges { node { health { action } } } }
}"""


@pytest_asyncio.fixture
async def seeded(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[str]:
    if backend == "sqlite":
        yield await asyncio.to_thread(sqlite_store, tmp_path, POPULATION)
        return
    server = postgres_url(request.config)
    url = await postgres_store(make_url(server), POPULATION)
    yield url
    await drop_database(server, url)


async def test_lists_and_totals_agree_with_what_was_seeded(seeded: str) -> None:
    settings = bench_settings(seeded)
    async with serving(settings) as server, httpx.AsyncClient(base_url=server, timeout=30) as http:
        for number, size in enumerate(POPULATION.sizes):
            api = Api(http=http, settings=settings, viewer=viewer_id(number))
            data = await api.data(ASKED, expired={"status": ["EXPIRED"]})
            assert data["accountsSummary"] == {
                "totalAccounts": size,
                "activeAccounts": sum(place % 5 < 3 for place in range(size)),
                "expiredAccounts": size // 5,
                "totalVideos": sum(range(size)),
            }
            assert data["accounts"]["totalCount"] == size
            assert data["accounts"]["pageInfo"]["hasNextPage"] is (size > 50)
            assert len(data["accounts"]["edges"]) == min(size, 50)
            assert data["expired"]["totalCount"] == size // 5
            assert {edge["node"]["health"]["action"] for edge in data["expired"]["edges"]} <= {"RECONNECT"}


async def test_a_database_that_is_there_is_not_filled_again(seeded: str, backend: str, tmp_path: Path) -> None:
    if backend == "sqlite":
        assert await asyncio.to_thread(sqlite_store, tmp_path, POPULATION) == seeded
    else:
        assert await postgres_store(make_url(seeded), POPULATION) == seeded
