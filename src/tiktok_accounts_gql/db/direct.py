"""Connections for prepared statements: the driver's own, in autocommit, with nothing to reset after one.

PostgreSQL's are opened by SQLAlchemy's engine, so that they are set up alike. SQLite's live in threads of their own: a
read is one hop there and back, where aiosqlite makes one for each of its steps.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from threading import local
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from tiktok_accounts_gql.db.sqlite import begin_in_thread
from tiktok_accounts_gql.db.threads import Threads
from tiktok_accounts_gql.db.turn import Turn

Parameters = tuple[Any, ...]
Records = Sequence[Sequence[Any]]
Gather = Callable[[], Sequence[Parameters]]


class Direct(Protocol):
    """`fetch` runs one statement that only reads; `append` one that inserts, for all of many rows or for none."""

    async def fetch(self, text: str, parameters: Parameters) -> Records: ...

    async def append(self, text: str, gather: Gather) -> None:
        """Durable when it returns. What to insert is asked for when its turn has come."""

    async def close(self) -> None: ...


class DirectPostgres:
    """Raises what asyncpg raises, and TimeoutError when no connection was free for too long."""

    def __init__(self, engine: AsyncEngine, *, size: int, patience: float) -> None:
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._patience = patience
        self._idle: list[Any] = []

    async def fetch(self, text: str, parameters: Parameters) -> Records:
        records: Records = await self._use(lambda connection: connection.fetch(text, *parameters))
        return records

    async def append(self, text: str, gather: Gather) -> None:
        """One round trip, and one transaction of the server's own."""
        await self._use(lambda connection: connection.executemany(text, gather()))

    async def _use(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        await self._wait()
        connection = None
        try:
            connection = self._idle_one() or await self._connected()
            answer = await ask(connection)
        except BaseException:
            if connection is not None:
                connection.terminate()  # cancelled perhaps, in the middle of an answer: nobody else may read its rest
            raise
        else:
            self._idle.append(connection)
        finally:
            self._free.release()
        return answer

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close(timeout=self._patience)

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        async with asyncio.timeout(self._patience):
            await self._free.acquire()

    def _idle_one(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():  # by the server, meanwhile
                return connection
        return None

    async def _connected(self) -> Any:
        pooled = await self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection


class DirectSqlite:
    """Raises what sqlite3 raises, and TimeoutError when the writer's turn did not come for too long.

    `turn` is that of all writers of this process.
    """

    def __init__(
        self, connect: Callable[..., sqlite3.Connection], *, readers: int, turn: Turn, patience: float
    ) -> None:
        self._connect = connect
        self._turn = turn
        self._patience = patience
        self._readers = Threads(readers, name="sqlite-reader")
        self._writer = Threads(1, name="sqlite-writer")
        self._own = local()
        self._reading: list[sqlite3.Connection] = []
        self._writing: list[sqlite3.Connection] = []

    async def fetch(self, text: str, parameters: Parameters) -> Records:
        return await self._readers.run(self._fetch, text, parameters)

    async def append(self, text: str, gather: Gather) -> None:
        async with self._turn.taken(soon=True):  # a reader waits for it, and it is short
            await self._writer.run(self._append, text, gather())

    async def close(self) -> None:
        """Nobody waits for what is still read."""
        for connection in self._reading:
            connection.interrupt()
        for threads in (self._readers, self._writer):
            threads.close()
        for opened in (self._reading, self._writing):
            while opened:
                opened.pop().close()

    def _fetch(self, text: str, parameters: Parameters) -> Records:
        return self._connection(writes=False).execute(text, parameters).fetchall()

    def _append(self, text: str, rows: Sequence[Parameters]) -> None:
        connection = self._connection(writes=True)
        begin_in_thread(self._patience, connection)
        with connection:  # commits, or rolls back
            connection.executemany(text, rows)

    def _connection(self, *, writes: bool) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect(self._patience, writes=writes)
            (self._writing if writes else self._reading).append(connection)
        return connection
