"""A TCP proxy between a process and the sandbox, so that a test can act at a point within a call."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Tap = Callable[[bytes], Awaitable[bytes]]  # returns the bytes to forward in place of those received


async def _untapped(data: bytes) -> bytes:
    return data


@dataclass(slots=True)
class Wire:
    """Forwards bytes in both directions. `on_request` and `on_reply` get each piece before it is forwarded."""

    target: str
    url: str = ""
    on_request: Tap = _untapped
    on_reply: Tap = _untapped
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection in a task, for which `close` waits."""
        task = asyncio.ensure_future(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.target)
        with closing(writer):
            target_reader, target_writer = await asyncio.open_connection(parts.hostname, parts.port)
            requests = asyncio.create_task(self._pump(reader, target_writer, lambda: self.on_request))
            replies = asyncio.create_task(self._pump(target_reader, writer, lambda: self.on_reply))
            with closing(target_writer):
                await asyncio.wait([requests, replies], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(requests, replies)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tap: Callable[[], Tap]) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(await tap()(data))
                await writer.drain()
        except (ConnectionError, RuntimeError):
            return


@asynccontextmanager
async def tapped(target: str) -> AsyncGenerator[Wire]:
    wire = Wire(target)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        await wire.close()
