"""Clients that do not read, and a server that stops."""

import asyncio
import json
import signal
import socket as sockets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.cli.serving import requests_in
from tests.cli.serving import run_server as served_by_a_process
from tests.live.acting import WATCH_ACCOUNTS
from tests.support.backends import on_sqlite
from tests.support.server import Api, hub_of, started_api
from tests.support.sockets import PROTOCOL, Socket, address, connected, opened, parts, streamed, token
from tests.support.waiting import until
from tiktok_accounts_gql.events import MAX_PENDING, AccountChanged, ChangeKind, hash_viewer
from tiktok_accounts_gql.server import SocketProtocol
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import migrate_everything

pytestmark = [on_sqlite, pytest.mark.untraced]

HIGH_WATER = 64 * 1024
OPERATIONS = 10
WIDE = "subscription { accountChanged { " + " ".join(f"a{n}: accountId" for n in range(30)) + " } }"


class Impatient(SocketProtocol):
    write_timeout_seconds = 2


@asynccontextmanager
async def narrow(api: Api) -> AsyncGenerator[Socket]:
    """A client with small buffers, so that one that does not read is soon noticed."""
    raw = sockets.socket(sockets.AF_INET)
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.setblocking(False)
    url = api.http.base_url
    await asyncio.get_running_loop().sock_connect(raw, (url.host, url.port))
    spoken = [Subprotocol(PROTOCOL)]
    async with connect(address(api), subprotocols=spoken, sock=raw, max_queue=1, proxy=None) as connection:
        yield Socket(connection=connection)


def buffered(server: uvicorn.Server) -> int:
    """By the client that holds most; nothing once all are let go of."""
    return max((one.transport.get_write_buffer_size() for one in server.server_state.connections), default=0)


async def flood(server: uvicorn.Server, viewer: str, count: int) -> tuple[int, int]:
    """Tells of many accounts; returns the most that was held, as events and as bytes."""
    hub, held, size = hub_of(server), 0, 0
    for number in range(count):
        hub.publish(hash_viewer(viewer), AccountChanged(account_id=uuid4(), kind=ChangeKind.DISCONNECTED))
        if number % 50 == 0:
            await asyncio.sleep(0.005)
            held, size = max(held, hub.pending_count()), max(size, buffered(server))
    return held, size


@pytest.mark.proof
async def test_a_client_that_does_not_read_costs_no_memory_and_is_let_go_of(
    own_settings: Settings, viewer: str
) -> None:
    async with started_api(own_settings, viewer, ws=Impatient) as (server, api), narrow(api) as client:
        await client.init(token(api))
        for number in range(OPERATIONS):
            await client.subscribe(WIDE, str(number))
        hub = hub_of(server)
        await until(lambda: hub.subscriber_count() == OPERATIONS)
        held, size = await flood(server, viewer, 10_000)
        assert 0 < held <= OPERATIONS * (MAX_PENDING + 1)
        assert size < HIGH_WATER + OPERATIONS * 4096
        await until(lambda: hub.subscriber_count() == 0)
        assert (await client.closed())[0] in (None, 1006)  # what was sent before may still be read


async def test_a_client_that_reads_slowly_gets_the_latest_of_each(own_settings: Settings, viewer: str) -> None:
    account_id = uuid4()
    async with started_api(own_settings, viewer) as (server, api), connected(api) as client:
        await client.subscribe(WATCH_ACCOUNTS)
        await until(lambda: hub_of(server).subscriber_count() == 1)
        await until(lambda: server.lifespan.state["lists"]._changes.get(viewer) is not None)  # it hears
        for _ in range(5000):
            hub_of(server).publish(
                hash_viewer(viewer), AccountChanged(account_id=account_id, kind=ChangeKind.DISCONNECTED)
            )
        assert hub_of(server).pending_count() == 1
        await client.next()
        assert await client.silent(1.2)


async def test_sockets_and_streams_end_at_once_when_the_server_stops(own_settings: Settings, viewer: str) -> None:
    async with started_api(own_settings, viewer) as (server, api), connected(api) as client:
        await client.subscribe(WATCH_ACCOUNTS)
        async with streamed(api, WATCH_ACCOUNTS, lifetime=timedelta(hours=1)) as response:
            await until(lambda: hub_of(server).subscriber_count() == 2)
            began = asyncio.get_running_loop().time()
            server.should_exit = True
            [end] = [one async for one in parts(response)]
            assert end["payload"] is None
            assert end["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
        assert (await client.closed())[0] == 1012
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
        assert asyncio.get_running_loop().time() - began < 3


async def test_a_process_that_is_told_to_stop_does_so_at_once(
    own_settings: Settings, viewer: str, tmp_path: Path
) -> None:
    await migrate_everything(own_settings.database_url)
    async with (
        served_by_a_process(tmp_path, own_settings, viewer) as (process, api),
        connected(api, query="?token=secret") as client,
    ):
        await client.subscribe(WATCH_ACCOUNTS)
        async with streamed(api, WATCH_ACCOUNTS) as response:
            await asyncio.sleep(0.3)
            began = asyncio.get_running_loop().time()
            process.process.send_signal(signal.SIGTERM)
            [end] = [one async for one in parts(response)]
            assert end["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
        assert (await client.closed())[0] == 1012
        await until(lambda: process.process.poll() is not None)
        assert (process.process.returncode, asyncio.get_running_loop().time() - began < 8) == (0, True)
        [line] = [one for one in requests_in(process.err) if one["method"] == "WEBSOCKET"]
        assert (line["viewer"], line["status"]) == (viewer, 101)
        assert "secret" not in process.err.read_text()


async def test_a_viewer_has_so_many_sockets_and_streams_at_most(own_settings: Settings, viewer: str) -> None:
    settings = own_settings.model_copy(update={"streams_per_viewer": 2})
    async with started_api(settings, viewer) as (server, api), connected(api), streamed(api, WATCH_ACCOUNTS) as stream:
        assert stream.status_code == 200
        async with opened(api) as socket:
            await socket.send(type="connection_init", payload={"Authorization": f"Bearer {token(api)}"})
            assert await socket.closed() == (1013, "Too many subscriptions are open. Close one, or try again later.")
        async with streamed(api, WATCH_ACCOUNTS) as response:
            [error] = json.loads(await response.aread())["errors"]
        assert (response.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert response.headers["Retry-After"]
        await until(lambda: hub_of(server).subscriber_count() == 1)
        async with connected(replace(api, viewer=f"another-{viewer}")):
            pass
    async with started_api(settings, viewer) as (_, api):
        for _ in range(3):
            async with connected(api), streamed(api, WATCH_ACCOUNTS) as stream:
                assert stream.status_code == 200
            await asyncio.sleep(0.2)


async def test_who_goes_is_forgotten(own_settings: Settings, viewer: str) -> None:
    async with started_api(own_settings, viewer) as (server, api):
        async with connected(api) as client:
            await client.subscribe(WATCH_ACCOUNTS)
            async with streamed(api, WATCH_ACCOUNTS):
                await until(lambda: hub_of(server).subscriber_count() == 2)
        await until(lambda: hub_of(server).subscriber_count() == 0)


async def test_what_breaks_in_between_ends_the_subscription_and_is_masked(own_settings: Settings, viewer: str) -> None:
    async with started_api(own_settings, viewer) as (server, api), connected(api) as client:
        await client.subscribe(WATCH_ACCOUNTS)
        await until(lambda: hub_of(server).subscriber_count() == 1)
        object.__setattr__(server.lifespan.state["services"].subscriptions, "db", None)  # an unexpected failure
        hub_of(server).publish(hash_viewer(viewer), AccountChanged(account_id=uuid4(), kind=ChangeKind.UPDATED))
        message = await client.receive()
        [error] = message["payload"]["errors"]
        assert error["message"] == "Unexpected error."
        assert error["extensions"].keys() == {"code", "errorId", "requestId"}
        assert "NoneType" not in str(message)
        assert await client.receive() == {"id": "1", "type": "complete"}
