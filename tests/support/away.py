"""A database that becomes unavailable at the moment of a commit.

SQLite's file is locked by another process. In front of PostgreSQL there is a proxy that cuts a commit off, before the server
receives it or after, when its outcome is unknown, and then refuses connections for a while.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.db.database import Database

LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""
Leave = Callable[[float], Awaitable[None]]


class Cut(StrEnum):
    """The moment at which a commit is cut off."""

    BEFORE = "before the server saw it"
    AFTER = "after the server did it"
    KILLED = "by the end of its backend"


async def lock(url: str, seconds: float) -> None:
    """Lock the file for some seconds; return when it is locked."""
    command = (sys.executable, "-c", LOCK, str(make_url(url).database), str(seconds))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"


@dataclass(slots=True)
class DatabaseWire:
    """A proxy between a process and PostgreSQL. `leave` makes it cut off the next commit."""

    url: str
    target: str
    cut: Cut = Cut.BEFORE
    _seconds: float | None = None
    _is_away: bool = False
    _clients: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def leave(self, seconds: float) -> None:
        self._seconds = seconds

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin(self._forward(reader, writer))

    async def close(self) -> None:
        self._abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_away:
            writer.transport.abort()
            return
        server_reader, server_writer = await _connect(self.target)
        self._clients.add(writer)
        pumps = [
            asyncio.ensure_future(self._forward_until_commit(reader, server_writer)),
            asyncio.ensure_future(_pump(server_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            writer.transport.abort()
            server_writer.close()
            self._clients.discard(writer)

    async def _forward_until_commit(self, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if b"COMMIT" in data and self._seconds is not None:
                await self._cut_off(data, server_writer)
                return
            server_writer.write(data)

    async def _cut_off(self, data: bytes, server_writer: asyncio.StreamWriter) -> None:
        seconds, self._seconds, self._is_away = self._seconds, None, True
        self._begin(self._come_back(seconds or 0))
        if self.cut is Cut.KILLED:
            await _kill_all(self.target)
        if self.cut is Cut.AFTER:
            self._abort()  # the reply is lost
        if self.cut is not Cut.BEFORE:
            server_writer.write(data)
            await asyncio.sleep(0.1)
        self._abort()

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._is_away = False

    def _abort(self) -> None:
        for client in self._clients:
            client.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = make_url(target)
    host, port = url.query.get("host") or url.host, url.port or 5432
    if str(host).startswith("/"):
        return await asyncio.open_unix_connection(Path(str(host)) / f".s.PGSQL.{port}")
    return await asyncio.open_connection(str(host), port)


async def _kill_all(target: str) -> None:
    """Terminate the backends that are in a transaction on this database."""
    db = Database.open(target, pool_size=2)
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
    )
    async with db.read() as session:
        await session.execute(text(statement))
    await db.close()


@asynccontextmanager
async def database_wire(target: str, cut: Cut) -> AsyncGenerator[DatabaseWire]:
    wire = DatabaseWire(url="", target=target, cut=cut)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    url = make_url(target).difference_update_query(["host"])
    url = url.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    wire.url = url.render_as_string(hide_password=False)
    try:
        yield wire
    finally:
        server.close()
        await wire.close()
