"""Several processes on one PostgreSQL, and a connection that is lost."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.live.acting import SYNC, WATCH_ACCOUNTS, WATCH_JOB, disconnect, global_id, many, start_job
from tests.support.backends import on_postgresql
from tests.support.listeners import list_listeners, terminate_listeners
from tests.support.server import Api, started
from tests.support.sockets import connected
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running

pytestmark = on_postgresql


@pytest_asyncio.fixture(scope="module")
async def elsewhere(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """Another process of the API, as it were: it has nothing in common with the first one but the database."""
    async with (
        started(settings, worker=False) as (_, url),
        httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client,
    ):
        yield client


@pytest.fixture
def there(elsewhere: httpx.AsyncClient, settings: Settings, viewer: str) -> Api:
    return Api(http=elsewhere, settings=settings, viewer=viewer)


async def test_an_account_that_changes_in_one_process_is_told_by_another(api: Api, there: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with connected(there) as socket:
        await socket.subscribe(WATCH_ACCOUNTS)
        await asyncio.sleep(0.3)
        await api.data(SYNC, id=account_id)
        assert (await socket.next())["accountChanged"]["accountId"] == account_id


async def test_a_job_that_runs_in_one_process_is_told_by_another(api: Api, there: Api, tiktok: TikTok) -> None:
    job_id = await start_job(there, ids=await many(tiktok, api.viewer, 10))
    counts: list[int] = []
    async with connected(there) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        while not counts or counts[-1] < 10:
            counts.append((await socket.next())["syncJobUpdated"]["succeededCount"])
    assert len(counts) > 2


async def test_what_happens_while_nobody_hears_is_told_later(
    api: Api, there: Api, tiktok: TikTok, running: Running
) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    gone_id = global_id((await tiktok.connect(api.viewer)).id)
    async with connected(there) as socket, connected(api) as also:
        for one in (socket, also):
            await one.subscribe(WATCH_ACCOUNTS)
        await asyncio.sleep(0.3)
        before = await list_listeners(running)
        assert len(before) >= 2  # the run's own server may listen as well
        await terminate_listeners(running)
        await asyncio.gather(api.data(SYNC, id=account_id), disconnect(api, gone_id))
        for one in (socket, also):
            told: dict[str, str] = {}
            while told.keys() != {account_id, gone_id} or told[gone_id] != "DISCONNECTED":
                change = (await one.next())["accountChanged"]
                told[change["accountId"]] = change["kind"]
        after = await list_listeners(running)
        assert len(after) >= 2
        assert not before & after


async def test_a_job_that_ends_while_nobody_hears_is_told_to_its_end(
    api: Api, there: Api, tiktok: TikTok, running: Running
) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 5))
    async with connected(there) as socket:
        await socket.subscribe(WATCH_JOB, id=job_id)
        await terminate_listeners(running)
        while not (state := (await socket.next())["syncJobUpdated"])["finishedAt"]:
            continue
    assert state["succeededCount"] == 5
