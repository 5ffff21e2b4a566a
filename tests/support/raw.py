"""A client that sends bytes which no library would send."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from tests.support.server import Api

PATIENCE = 20


class Answer(NamedTuple):
    """A complete response. `body`: parsed JSON, or the bytes of anything else."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of the only error."""
        [error] = self.body["errors"]
        code: str = error["extensions"]["code"]
        assert error["extensions"]["requestId"] == self.headers["x-request-id"]
        return code


class Raw:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer:
        """Read the next response. `head`: it is the response to HEAD, so has no body."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            pairs = (line.partition(":") for line in lines[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = b"" if head else await self.reader.readexactly(int(headers.get("content-length", "0")))
        is_json = "json" in headers.get("content-type", "") and not head
        return Answer(int(lines[0].split()[1]), headers, json.loads(body) if is_json else body)

    async def ends(self) -> bytes:
        """Read until the server closes the connection."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    received += piece
        return received


@asynccontextmanager
async def raw(api: Api) -> AsyncGenerator[Raw]:
    url = api.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


def request(method: str, path: str, *headers: str, body: str = "", host: str = "localhost") -> bytes:
    """Return the bytes of a request. `headers`: whole lines."""
    length = (f"Content-Length: {len(body)}",) if body and not any("Transfer" in header for header in headers) else ()
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, *length, "", body)
    return "\r\n".join(lines).encode()
