"""A connection to SQLite in a thread of its own, with one hop to it for each statement.

It stands in for aiosqlite's connection where SQLAlchemy's dialect of that name expects one. aiosqlite hops four times for
a statement (cursor, execute, fetch, close), each of them a wait for the thread and for the interpreter's lock: a writer's
transaction of eight statements kept all other writers waiting several times as long as SQLite worked for it. And a process
in which a read was cancelled in its middle never ended.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

Answer = TypeVar("Answer")


class ThreadedConnection:
    """What is asked of it is done in the order asked, even if who asked was cancelled; but a read ends there."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, *, reads: bool) -> None:
        self._connection: sqlite3.Connection | None = connection  # None once it is closed, which the dialect looks at
        self._thread = thread
        self._reads = reads
        self._committed = False  # by what was written last

    @classmethod
    async def open(cls, *names: str, reads: bool, **options: Any) -> Self:
        """`reads`: and writes nothing. Raises what sqlite3 raises."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-session")
        connect = partial(sqlite3.connect, *names, **options)
        return cls(await asyncio.get_running_loop().run_in_executor(thread, connect), thread, reads=reads)

    async def run(self, act: Callable[[sqlite3.Connection], Answer]) -> Answer:
        if self._connection is None:
            raise ValueError("Connection closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, act, self._connection)
        except asyncio.CancelledError:
            if self._reads:
                self._connection.interrupt()
            raise

    async def write_and_commit(self, statements: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Executes each for all of its rows, with one hop for all of it."""
        asked = list(statements)

        def run(connection: sqlite3.Connection) -> None:
            for text, rows in asked:
                connection.executemany(text, rows)
            connection.commit()

        await self.run(run)
        self._committed = True

    def cursor(self) -> "ThreadedCursor":
        return ThreadedCursor(self)

    async def create_function(self, *arguments: Any, **options: Any) -> None:
        await self.run(lambda connection: connection.create_function(*arguments, **options))

    async def commit(self) -> None:
        if not self._committed:
            await self.run(sqlite3.Connection.commit)
        self._committed = False

    async def rollback(self) -> None:
        self._committed = False
        await self.run(sqlite3.Connection.rollback)

    async def close(self) -> None:
        if self._connection is not None:
            await self.run(sqlite3.Connection.close)
            self.stop()

    def stop(self) -> None:
        self._connection = None
        self._thread.shutdown(wait=False)


class ThreadedCursor:
    """One statement and its rows."""

    def __init__(self, connection: ThreadedConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        await self._connection.run(lambda connection: self._keep(connection.execute(text, parameters)))

    async def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.run(lambda connection: self._keep(connection.executemany(text, rows)))

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        self._rows = []

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()
