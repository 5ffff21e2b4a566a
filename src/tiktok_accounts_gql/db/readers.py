"""Connections for prepared statements: the driver's own, in autocommit, with nothing to reset between two reads.

PostgreSQL's are opened by SQLAlchemy's engine, so that they are set up alike. SQLite's live in threads of their own: a
read is one hop there and back, where aiosqlite makes one for each of its steps.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

Records = Sequence[Sequence[Any]]


class Readers(Protocol):
    """Runs one statement that only reads."""

    async def fetch(self, text: str, parameters: tuple[Any, ...]) -> Records: ...

    async def close(self) -> None: ...


class PostgresReaders:
    """Raises what asyncpg raises, and TimeoutError when no connection was free for too long."""

    def __init__(self, engine: AsyncEngine, *, size: int, patience: float) -> None:
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._patience = patience
        self._idle: list[Any] = []

    async def fetch(self, text: str, parameters: tuple[Any, ...]) -> Records:
        await self._wait()
        connection = None
        try:
            connection = self._idle_one() or await self._connected()
            records: Records = await connection.fetch(text, *parameters)
        except BaseException:
            if connection is not None:
                connection.terminate()  # cancelled perhaps, in the middle of an answer: nobody else may read its rest
            raise
        else:
            self._idle.append(connection)
            return records
        finally:
            self._free.release()

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


class SqliteReaders:
    """Raises what sqlite3 raises."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, size: int) -> None:
        self._connect = connect
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="sqlite-reader")
        self._own = local()
        self._opened: list[sqlite3.Connection] = []

    async def fetch(self, text: str, parameters: tuple[Any, ...]) -> Records:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch, text, parameters)

    async def close(self) -> None:
        self._threads.shutdown()
        while self._opened:
            self._opened.pop().close()

    def _fetch(self, text: str, parameters: tuple[Any, ...]) -> Records:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
            self._opened.append(connection)
        return connection.execute(text, parameters).fetchall()
