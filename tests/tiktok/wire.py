"""The real client, with a server of the test in place of TikTok."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from pydantic import SecretStr

from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES

SECRET = "secret/of the app+"

Call = Callable[[TikTokClient], Awaitable[Any]]

EXCHANGE: Call = lambda client: client.exchange_code(code="code-1", redirect_uri="https://app.test/back")  # noqa: E731
REFRESH: Call = lambda client: client.refresh("rft.old")  # noqa: E731
REVOKE: Call = lambda client: client.revoke("act.old")  # noqa: E731
USER_INFO: Call = lambda client: client.user_info("act.old", scopes=["user.info.basic", "user.info.stats"])  # noqa: E731
USER_INFO_OF_ALL: Call = lambda client: client.user_info("act.old", scopes=list(FIELDS_OF_SCOPES))  # noqa: E731
CALLS = [EXCHANGE, REFRESH, REVOKE, USER_INFO]
CALL_NAMES = ["exchange", "refresh", "revoke", "user_info"]


def create_client(handler: Callable[[httpx.Request], httpx.Response]) -> TikTokClient:
    http = httpx.AsyncClient(base_url="https://tiktok.test", transport=httpx.MockTransport(handler))
    return TikTokClient(http, client_key="key-1", client_secret=SecretStr(SECRET), timeout=5)


async def call_with_reply(call: Call, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
    """Return what a call returns for a reply."""
    async with create_client(lambda _: httpx.Response(status, content=body, headers=headers)) as client:
        return await call(client)


@asynccontextmanager
async def run_tiktok(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], *, seconds: float = 5
) -> AsyncGenerator[TikTokClient]:
    """Yield a client of a socket on which `handle` answers after the head of a request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        TikTokClient.open(api_url=url, client_key="key-1", client_secret=SecretStr(SECRET), timeout=seconds) as client,
    ):
        yield client
