"""Clients that say nothing, or say it slowly, or all at once: none keeps a place that another one needs."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.cli.serving import run_server as served_by_a_process
from tests.support.backends import on_sqlite
from tests.support.neighbours import STILL, neighbour
from tests.support.raw import Raw, raw, request
from tests.support.server import Api, started
from tests.support.sockets import PROTOCOL, address, connected
from tiktok_accounts_gql.server import http_limits
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web import connection_limits

pytestmark = [on_sqlite, pytest.mark.untraced]

SILENT = int(os.environ.get("TEST_SILENT", "1100"))
FILES = 1024
WEBHOOK = ("Content-Type: application/json", "Content-Length: 1000")


@asynccontextmanager
async def served(settings: Settings) -> AsyncGenerator[Api]:
    """A server on the loop of the test, by the constants as they are now."""
    async with (
        started(settings) as (_, url),
        httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client,
    ):
        yield Api(http=client, settings=settings, viewer="nobody")


async def dripped(client: Raw, piece: bytes, within: float) -> bytes:
    """What comes to a client that goes on for so many seconds, and is cut off before."""
    receiving = asyncio.create_task(client.ends())
    async with asyncio.timeout(within):
        while not receiving.done():
            try:
                await client.send(piece)
            except ConnectionError:
                break
            await asyncio.sleep(0.02)
        return await receiving


@pytest.mark.parametrize(
    ("begun", "piece", "status"),
    [
        pytest.param(b"", b"", None, id="silence"),
        pytest.param(b"", b"\r\n", None, id="empty-lines"),
        pytest.param(b"GET /livez HTTP/1.1\r\nX: ", b"a", b"408", id="a-head"),
        pytest.param(request("GET", "/livez") + b"GET /livez HTTP/1.1\r\nX: ", b"a", b"408", id="a-second-head"),
        pytest.param(request("POST", "/webhooks/tiktok", *WEBHOOK), b"a", b"408", id="a-body"),
        pytest.param(
            request("POST", "/webhooks/tiktok", *WEBHOOK, "Expect: 100-continue"), b"a", b"408", id="expected"
        ),
        pytest.param(
            request("POST", "/webhooks/tiktok", "Transfer-Encoding: chunked"), b"1;a=b\r\na\r\n", b"408", id="chunks"
        ),
    ],
)
async def test_a_request_that_does_not_arrive_in_time_is_cut_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, begun: bytes, piece: bytes, status: bytes | None
) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "KEEP_ALIVE_SECONDS"):
        monkeypatch.setattr(http_limits, name, 0.5)
    async with served(settings) as api, raw(api) as client:
        await client.send(begun)
        said = await dripped(client, piece, within=5)
    if status is None:
        assert said == b""
        return
    head, _, body = said.rpartition(b"\r\n\r\n")
    assert b"HTTP/1.1 " + status in head
    assert b"connection: close" in head.lower()
    assert b'"code":"BAD_USER_INPUT"' in body


async def test_the_time_for_heads_is_10_s_for_bodies_30_and_between_requests_75(backend: str) -> None:
    assert (http_limits.HEAD_SECONDS, http_limits.BODY_SECONDS, http_limits.KEEP_ALIVE_SECONDS) == (10, 30, 75)


async def test_a_body_that_takes_its_time_within_the_bound_is_read(settings: Settings) -> None:
    body = '{"query": "{ viewer { userId } }"}'
    async with served(settings) as api, raw(api) as client:
        head = ("Content-Type: application/json", f"Authorization: Bearer {api.token}", f"Content-Length: {len(body)}")
        await client.send(request("POST", "/graphql", *head))
        for byte in body.encode():
            await client.send(bytes([byte]))
            await asyncio.sleep(0.01)
        assert (await client.answer()).body["data"] == {"viewer": {"userId": "nobody"}}


async def test_at_the_bound_those_go_that_say_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MIN_IDLE_SECONDS", 0.0)
    async with served(settings.model_copy(update={"max_connections": 3})) as api, AsyncExitStack() as stack:
        busy, silent, idle = [await stack.enter_async_context(raw(api)) for _ in range(3)]
        for one in (busy, idle):
            await one.send(request("GET", "/livez"))
            assert (await one.answer()).status == 200
        await busy.send(request("POST", "/webhooks/tiktok", *WEBHOOK) + b"a")
        fourth = await stack.enter_async_context(raw(api))
        await fourth.send(request("GET", "/nothing"))
        assert (await fourth.answer()).status == 404
        assert await silent.ends() == b""
        fifth = await stack.enter_async_context(raw(api))
        await fifth.send(request("GET", "/nothing"))
        assert (await fifth.answer()).status == 404


async def test_when_all_are_busy_only_probes_are_answered(settings: Settings, viewer: str) -> None:
    own = settings.model_copy(update={"max_connections": 2})
    async with served(own) as api, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(connected(api))
        for path, status in (
            ("/livez", 200),
            ("/readyz", 200),
            ("/metrics", 200),
            ("/graphql", 503),
            ("/nothing", 503),
        ):
            async with raw(api) as client:
                await client.send(request("GET", path))
                answer = await client.answer()
                assert (path, answer.status, answer.headers["connection"]) == (path, status, "close")
                if status == 503:
                    assert (answer.code, answer.headers["retry-after"]) == ("SERVICE_UNAVAILABLE", "5")
        held = [await stack.enter_async_context(raw(api)) for _ in range(connection_limits.PROBE_RESERVE)]
        async with raw(api) as client:
            assert await client.ends() == b""
        async with asyncio.timeout(5):
            assert {await one.ends() for one in held} == {b""}  # the reserve is not held for long
        async with raw(api) as client:
            await client.send(request("GET", "/livez"))
            assert (await client.answer()).status == 200


async def test_a_websocket_on_which_nobody_signs_in_gives_way(settings: Settings) -> None:
    async with served(settings.model_copy(update={"max_connections": 2})) as api, connected(api) as signed_in:
        async with (
            connect(address(api), subprotocols=[Subprotocol(PROTOCOL)], proxy=None) as silent,
            raw(api) as client,
        ):
            await client.send(request("GET", "/nothing"))
            assert (await client.answer()).status == 404
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(silent.recv(), 5)
        await signed_in.send(type="ping")
        assert await signed_in.receive() == {"type": "pong"}


async def opened(api: Api, stack: AsyncExitStack, sent: Callable[[int], bytes]) -> None:
    for number in range(SILENT):
        client = await stack.enter_async_context(raw(api))
        await client.send(sent(number))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda _: b"", id="silent"),
        pytest.param(lambda _: b"GET /livez HTTP/1.1\r\nX: ", id="half-a-head"),
        pytest.param(lambda _: request("POST", "/webhooks/tiktok", *WEBHOOK), id="half-a-body"),
        pytest.param(lambda _: request("POST", "/graphql", *WEBHOOK), id="refused-and-half-a-body"),
    ],
)
async def test_more_connections_than_files_do_not_lock_others_out(
    own: Settings, tmp_path: Path, sent: Callable[[int], bytes]
) -> None:
    """`ulimit -n 1024`, and 1,100 connections."""
    here = resource.getrlimit(resource.RLIMIT_NOFILE)
    if here[0] < FILES + SILENT:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(here[1], 2 * SILENT + FILES), here[1]))
    async with (
        served_by_a_process(tmp_path, own, "neighbour", files=FILES) as (server, api),
        AsyncExitStack() as stack,
    ):
        with neighbour(api) as watched:
            await asyncio.to_thread(watched.report, at_least=20)
            await opened(api, stack, sent)
            await asyncio.sleep(0.3)
            during = await asyncio.to_thread(watched.report, at_least=50)
            for path in ("/livez", "/readyz", "/metrics", "/nothing"):
                began = time.monotonic()
                async with httpx.AsyncClient(base_url=api.http.base_url, verify=get_ssl_context()) as newcomer:
                    assert (await newcomer.get(path)).status_code == (404 if path == "/nothing" else 200)
                assert time.monotonic() - began < 2
        print(f"{SILENT} connections: {during}")  # noqa: T201
        assert during.failed == 0
        assert during.stood_still < STILL
        assert "Traceback" not in server.err.read_text()
