"""A client of `graphql-transport-ws`, and one of Apollo's multipart subscriptions."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.support.server import Api
from tiktok_accounts_gql.web.authentication import issue_token

PROTOCOL = "graphql-transport-ws"
PATIENCE = 15
PARTS = "multipart/mixed;subscriptionSpec=1.0, application/json"


@dataclass(kw_only=True)
class Socket:
    """A connected socket."""

    connection: ClientConnection

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))
        return message

    async def init(self, token: str, name: str = "Authorization") -> None:
        await self.send(type="connection_init", payload={name: f"Bearer {token}"})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, operation_id: str = "1", **variables: Any) -> None:
        await self.send(id=operation_id, type="subscribe", payload={"query": query, "variables": variables})

    async def next(self, operation_id: str = "1") -> dict[str, Any]:
        """Return the data of the operation's next event."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", operation_id), message
        assert "errors" not in message["payload"], message
        data: dict[str, Any] = message["payload"]["data"]
        return data

    async def error(self, operation_id: str = "1") -> dict[str, Any]:
        """Return the only error of an operation that is refused."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("error", operation_id), message
        [error] = message["payload"]
        found: dict[str, Any] = error
        return found

    async def closed(self) -> tuple[int | None, str | None]:
        """The code and the reason, whatever is told before."""
        try:
            while True:
                await asyncio.wait_for(self.connection.recv(), PATIENCE)
        except ConnectionClosed:
            return self.connection.close_code, self.connection.close_reason

    async def silent(self, seconds: float) -> bool:
        """Whether nothing is told for so long."""
        try:
            await asyncio.wait_for(self.connection.recv(), seconds)
        except TimeoutError:
            return True
        return False


ENDING = timedelta(seconds=-8)  # expired, and within the leeway of 10 s: a token with 2 s left


def address(api: Api, query: str = "") -> str:
    return str(api.http.base_url.join("/graphql" + query)).replace("http", "ws", 1)


@asynccontextmanager
async def opened(
    api: Api, *, origin: str | None = None, protocol: str | None = PROTOCOL, query: str = "", **headers: str
) -> AsyncGenerator[Socket]:
    """Open a socket without sending a message."""
    subprotocols = [Subprotocol(protocol)] if protocol else None
    async with connect(
        address(api),
        subprotocols=subprotocols,
        origin=Origin(origin) if origin else None,
        additional_headers=headers,
        proxy=None,
    ) as connection:
        yield Socket(connection=connection)


@asynccontextmanager
async def connected(api: Api, *, lifetime: timedelta = timedelta(hours=1), query: str = "") -> AsyncGenerator[Socket]:
    async with opened(api, query=query) as socket:
        await socket.init(token(api, lifetime))
        yield socket


def token(api: Api, lifetime: timedelta = timedelta(hours=1)) -> str:
    settings = api.settings
    assert settings.jwt_secret is not None
    return issue_token(
        settings.jwt_secret,
        subject=api.viewer,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        lifetime=lifetime,
    )


@asynccontextmanager
async def streamed(
    api: Api, query: str, variables: Mapping[str, Any] | None = None, *, lifetime: timedelta = timedelta(hours=1)
) -> AsyncGenerator[httpx.Response]:
    """Open a multipart subscription and yield its response."""
    headers = {"Authorization": f"Bearer {token(api, lifetime)}", "Accept": PARTS}
    body = {"query": query, "variables": variables}
    async with api.http.stream("POST", "/graphql", json=body, headers=headers) as response:
        yield response


async def parts(response: httpx.Response) -> AsyncGenerator[dict[str, Any]]:
    """Yield each part as soon as the delimiter behind it has come, as Apollo's client does."""
    delimiter, text, first = "\r\n--graphql", "\r\n", True
    async for piece in response.aiter_text():
        text += piece
        while delimiter in text:
            part, _, text = text.partition(delimiter)
            if not first:
                head, _, body = part.partition("\r\n\r\n")
                assert head == "\r\nContent-Type: application/json", head
                yield json.loads(body)
            first = False
