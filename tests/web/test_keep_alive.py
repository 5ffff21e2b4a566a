"""A kept connection answers at once: nothing waits for an acknowledgement (Nagle's algorithm)."""

import asyncio
import statistics
import time
from collections.abc import Callable
from socket import IPPROTO_TCP, TCP_NODELAY, socket

import httpx
import pytest
import uvicorn

from tests.support.backends import on_sqlite
from tests.support.server import started
from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.sandbox.server import listen
from tiktok_accounts_gql.server import HttpProtocol, server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context

DELAYED_ACK = 0.04  # seconds, of Linux


def by_uvicorn(config: uvicorn.Config) -> socket:
    return config.bind_socket()


def by_the_demo(config: uvicorn.Config) -> socket:
    del config
    return listen("127.0.0.1", 0)


async def delays(client: httpx.AsyncClient, path: str, *, status: int = 200) -> list[float]:
    found = []
    for _ in range(15):
        began = time.perf_counter()
        assert (await client.get(path)).status_code == status
        found.append(time.perf_counter() - began)
    return found


@on_sqlite
@pytest.mark.parametrize("bind", [by_uvicorn, by_the_demo])
async def test_a_kept_connection_answers_at_once(settings: Settings, bind: Callable[[uvicorn.Config], socket]) -> None:
    options = {**server_options(settings), "loop": "asyncio"}  # which does not do it by itself, as uvloop does
    config = uvicorn.Config(create_app(settings, worker=False), **options)
    server, listening = uvicorn.Server(config), bind(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as client:
            while not server.started:  # noqa: ASYNC110 - uvicorn tells by an attribute
                await asyncio.sleep(0.005)
            assert statistics.median(await delays(client, "/livez")) < DELAYED_ACK
            [connection] = server.server_state.connections
            accepted = connection.transport.get_extra_info("socket")
            assert accepted.getsockopt(IPPROTO_TCP, TCP_NODELAY)
    finally:
        server.should_exit = True
        await serving


@on_sqlite
async def test_a_unix_socket_has_nothing_to_set(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("u") / "s"
    async with started(settings) as (server, _):
        loop = asyncio.get_running_loop()
        own = await loop.create_unix_server(
            lambda: HttpProtocol(server.config, server.server_state, server.lifespan.state), str(path)
        )
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with own, httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/livez")).status_code == 200


async def test_the_sandbox_answers_at_once(sandbox_url: str) -> None:
    async with httpx.AsyncClient(base_url=sandbox_url, verify=get_ssl_context()) as client:
        assert statistics.median(await delays(client, "/v2/user/info/", status=401)) < DELAYED_ACK
