"""Pools of raw driver connections for compiled statements: in autocommit, with nothing to reset after a statement.

PostgreSQL's connections are opened by SQLAlchemy's engine, so that they are configured like its own; asyncpg's own pool
would wrap each connection in a proxy and reset it after every statement, which shows in the time of a list. SQLite's
connections live in threads: a read is one hop to a thread and back, where aiosqlite makes one for each of its steps.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from threading import local
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from tiktok_accounts_gql.db.sqlite import begin_immediate_on_driver
from tiktok_accounts_gql.db.threads import ThreadPool
from tiktok_accounts_gql.db.writer_lock import WriterLock

Parameters = tuple[Any, ...]
Records = Sequence[Sequence[Any]]
GetRows = Callable[[], Sequence[Parameters]]


class RawPool(Protocol):
    """Executes compiled statements outside of SQLAlchemy."""

    async def fetch(self, text: str, parameters: Parameters) -> Records:
        """Execute one statement that only reads, and return its rows."""

    async def insert(self, text: str, get_rows: GetRows) -> None:
        """Insert all rows or none, durably. `get_rows` is called when a connection may write."""

    async def close(self) -> None:
        """Close all connections of the pool."""


class PostgresRawPool:
    """Raises what asyncpg raises, and TimeoutError when no connection was free in time."""

    def __init__(self, engine: AsyncEngine, *, size: int, timeout: float) -> None:
        """`timeout` is in seconds."""
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._timeout = timeout
        self._idle: list[Any] = []

    async def fetch(self, text: str, parameters: Parameters) -> Records:
        records: Records = await self._use(lambda connection: connection.fetch(text, *parameters))
        return records

    async def insert(self, text: str, get_rows: GetRows) -> None:
        """Insert in one round trip, which the server executes in an implicit transaction."""
        await self._use(lambda connection: connection.executemany(text, get_rows()))

    async def _use(self, execute: Callable[[Any], Awaitable[Any]]) -> Any:
        if self._free.locked():
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        else:
            await self._free.acquire()  # without a timeout, which would cost more than a free semaphore
        connection = None
        try:
            while self._idle and connection is None:
                connection = self._idle.pop()
                if connection.is_closed():  # the server may have closed it while it was idle
                    connection = None
            if connection is None:
                connection = await self._connect()
            result = await execute(connection)
        except BaseException:
            if connection is not None:
                connection.terminate()  # may be cancelled in the middle of a result, whose rest must not be read
            raise
        else:
            self._idle.append(connection)
        finally:
            self._free.release()
        return result

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close(timeout=self._timeout)

    async def _connect(self) -> Any:
        pooled = await self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection


class SqliteRawPool:
    """Raises what sqlite3 raises, and TimeoutError when the writer lock was not free in time."""

    def __init__(
        self, connect: Callable[..., sqlite3.Connection], *, readers: int, writer_lock: WriterLock, timeout: float
    ) -> None:
        """`writer_lock` is the one of all writers in this process; `timeout` is in seconds."""
        self._connect = connect
        self._writer_lock = writer_lock
        self._timeout = timeout
        self._readers = ThreadPool(readers, name="sqlite-reader")
        self._writer = ThreadPool(1, name="sqlite-writer")
        self._thread_local = local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._writer_connections: list[sqlite3.Connection] = []

    async def fetch(self, text: str, parameters: Parameters) -> Records:
        return await self._readers.run(self._fetch, text, parameters)

    async def insert(self, text: str, get_rows: GetRows) -> None:
        async with self._writer_lock.hold(priority=True):  # it is short, and a reader waits for it
            await self._writer.run(self._insert, text, get_rows())

    async def close(self) -> None:
        """Close all connections; reads that are still running are interrupted."""
        for connection in self._reader_connections:
            connection.interrupt()
        for threads in (self._readers, self._writer):
            threads.close()
        for connections in (self._reader_connections, self._writer_connections):
            while connections:
                connections.pop().close()

    def _fetch(self, text: str, parameters: Parameters) -> Records:
        return self._get_connection(read_only=True).execute(text, parameters).fetchall()

    def _insert(self, text: str, rows: Sequence[Parameters]) -> None:
        connection = self._get_connection(read_only=False)
        begin_immediate_on_driver(self._timeout, connection)
        with connection:  # commits, or rolls back
            connection.executemany(text, rows)

    def _get_connection(self, *, read_only: bool) -> sqlite3.Connection:
        """Return the connection of the current thread, which is opened when the thread first needs it."""
        connection: sqlite3.Connection | None = getattr(self._thread_local, "connection", None)
        if connection is None:
            connection = self._connect(self._timeout, read_only=read_only)
            self._thread_local.connection = connection
            (self._reader_connections if read_only else self._writer_connections).append(connection)
        return connection
