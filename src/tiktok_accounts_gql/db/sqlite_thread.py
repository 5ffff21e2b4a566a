"""A connection to SQLite in a thread of its own, with one hop to that thread for each statement.

It takes the place of aiosqlite's connection where SQLAlchemy's dialect of that name expects one. aiosqlite hops four times
for a statement (cursor, execute, fetch, close), and each hop waits for the thread and for the interpreter's lock: a writer's
transaction of eight statements kept all other writers waiting several times as long as SQLite worked for it. And with
aiosqlite a process in which a running read was cancelled never ended.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class SqliteThreadConnection:
    """A connection that runs calls in their order, even those whose caller was cancelled, but interrupts cancelled reads."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, *, read_only: bool) -> None:
        self._connection: sqlite3.Connection | None = connection  # None when closed; the dialect reads this attribute
        self._thread = thread
        self._read_only = read_only
        self._has_committed = False  # by `write_and_commit`; SQLAlchemy's own commit has nothing left to do then

    @classmethod
    async def open(cls, *names: str, read_only: bool, **options: Any) -> Self:
        """Open the file in a new thread. Raises what sqlite3 raises."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-session")
        connect = partial(sqlite3.connect, *names, **options)
        connection = await asyncio.get_running_loop().run_in_executor(thread, connect)
        return cls(connection, thread, read_only=read_only)

    async def run(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """Call the function in the thread. Raises what it raises, and ValueError if the connection is closed."""
        if self._connection is None:
            raise ValueError("Connection closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, self._connection)
        except asyncio.CancelledError:
            if self._read_only:
                self._connection.interrupt()
            raise

    async def write_and_commit(self, executions: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Execute each statement for all of its rows and commit, with one hop for all of it."""

        def run(connection: sqlite3.Connection) -> None:
            for text, rows in executions:
                connection.executemany(text, rows)
            connection.commit()

        await self.run(run)
        self._has_committed = True

    def cursor(self) -> "SqliteThreadCursor":
        return SqliteThreadCursor(self)

    async def create_function(self, *arguments: Any, **options: Any) -> None:
        await self.run(lambda connection: connection.create_function(*arguments, **options))

    async def commit(self) -> None:
        if not self._has_committed:
            await self.run(sqlite3.Connection.commit)
        self._has_committed = False

    async def rollback(self) -> None:
        self._has_committed = False
        await self.run(sqlite3.Connection.rollback)

    async def close(self) -> None:
        if self._connection is not None:
            await self.run(sqlite3.Connection.close)
            self.stop()

    def stop(self) -> None:
        """End the thread without waiting for it. SQLAlchemy calls this for a connection that it gives up."""
        self._connection = None
        self._thread.shutdown(wait=False)


class SqliteThreadCursor:
    """The result of one statement: all of its rows, fetched in the hop that executed it."""

    def __init__(self, connection: SqliteThreadConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        await self._connection.run(lambda connection: self._store(connection.execute(text, parameters)))

    async def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.run(lambda connection: self._store(connection.executemany(text, rows)))

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        self._rows = []

    def _store(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()
